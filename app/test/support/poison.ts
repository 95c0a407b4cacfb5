// Loaded into a server before it starts: errors that no handler is there for.
setTimeout(() => {
  throw new Error("poisoned timer");
}, 3000);
setTimeout(() => {
  Promise.reject(new Error("poisoned promise"));
}, 3100);
