// Loaded into a server before it starts: at a signal, errors that no handler is there for.
process.on("SIGUSR2", () => {
  Promise.reject(new Error("poisoned promise"));
  throw new Error("poisoned event");
});
