/** Shows what the server tells, and how old that is. */
import { draw } from "/draw.js";

/** The server says every two seconds that it is there. */
const goneSeconds = 6;

const at = (id) => document.getElementById(id);
let scene;
let picture;
/** When the machines were asked, by this page's own clock; milliseconds. */
let asked;
/** When the server was heard last. */
let heard = performance.now();
let drawn = "";

// For this tab and this port alone, and not for the list of pages that were visited
const token = location.hash.slice(1) || sessionStorage.getItem("token") || "";
sessionStorage.setItem("token", token);
history.replaceState(null, "", "/");
// The address of the next command, at the same port
addEventListener("hashchange", () => location.reload());

const news = new EventSource(`/news?token=${encodeURIComponent(token)}`);
news.addEventListener("error", () => {
  if (scene || news.readyState !== EventSource.CLOSED) return;
  at("says").textContent = "Use the whole address that npm run status -- --web printed";
});
news.addEventListener("scene", ({ data }) => {
  scene = JSON.parse(data);
  heard = performance.now();
  document.title = `${scene.stack} · hastack`;
  at("stack").textContent = scene.stack;
});
news.addEventListener("look", ({ data }) => {
  const { age, error, picture: seen } = JSON.parse(data);
  heard = performance.now();
  if (seen) {
    picture = seen;
    asked = heard - age * 1000;
  }
  at("says").textContent = error ?? headline();
  show();
  tick();
});

news.addEventListener("alive", () => {
  heard = performance.now();
});

/** @param {string} name @param {Record<string, string>} attributes @param {(Node | string)[]} content */
function element(name, attributes, content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

function headline() {
  const bad = picture.members.filter(({ state }) => state !== "ok").length;
  if (picture.state === "ok") return "all is as promised";
  return bad === 0 ? "see what to do" : `${bad} of ${picture.members.length} members not ok`;
}

function show() {
  if (!scene || !picture) return;
  at("state").dataset.state = picture.state;
  at("word").textContent = picture.state;
  document.title = `${picture.state}: ${scene.stack} · hastack`;
  const width = Math.floor(at("picture").clientWidth);
  const key = JSON.stringify([scene, picture.members, width]);
  if (key !== drawn) {
    drawn = key;
    at("picture").replaceChildren(draw(scene, picture, width));
    showMembers();
  }
  showFindings();
  at("subjects").replaceChildren(
    ...picture.subjects.map(({ name, state, is }) =>
      element("div", { "data-state": state }, [
        element("dt", {}, [element("span", { class: "word" }, [state]), " ", name]),
        element("dd", {}, [is]),
      ]),
    ),
  );
}

/** What several have alike comes once. */
function showFindings() {
  const all = new Map();
  for (const { name, findings } of [...picture.subjects, ...picture.members])
    for (const one of findings) {
      const key = JSON.stringify([one.what, one.fix].map((text) => text.replaceAll(name, "NAME")));
      const before = all.get(key);
      const [what, fix] = before ? JSON.parse(key) : [one.what, one.fix];
      all.set(key, { ...one, what, fix, of: [...(before?.of ?? []), name] });
    }
  const found = [...all.values()].map(({ of, state, what, should, fix }) =>
    element("article", { "data-state": state }, [
      element("h3", {}, [element("span", { class: "word" }, [state]), ` ${of.join(", ")}`]),
      element("p", { class: "what" }, [what]),
      element("p", { class: "should" }, [`Should be: ${should}`]),
      element("p", { class: "fix" }, [fix]),
    ]),
  );
  const nothing = element("p", { class: "nothing" }, ["Nothing: all is as promised."]);
  const now = found.length > 0 ? found : [nothing];
  const before = at("found");
  // What did not change is left alone, also for those who hear the page
  if (now.map((one) => one.outerHTML).join("") !== before.innerHTML) before.replaceChildren(...now);
}

function showMembers() {
  const rows = picture.members.map(({ name, machine, state, is }) =>
    element("tr", { "data-state": state }, [
      element("th", { scope: "row" }, [name]),
      element("td", {}, [element("span", { class: "word" }, [state])]),
      element("td", {}, [machine === name ? is : `${is} (on ${machine})`]),
    ]),
  );
  const heads = ["Member", "State", "What it does"].map((one) =>
    element("th", { scope: "col" }, [one]),
  );
  at("each").replaceChildren(
    element("table", {}, [
      element("thead", {}, [element("tr", {}, heads)]),
      element("tbody", {}, rows),
    ]),
  );
}

/** How old it is, and whether anybody still tells. */
function tick() {
  const now = performance.now();
  const isGone = (now - heard) / 1000 > goneSeconds || news.readyState !== EventSource.OPEN;
  document.body.classList.toggle("gone", isGone && picture !== undefined);
  if (asked === undefined) return;
  const age = Math.round((now - asked) / 1000);
  at("age").textContent = isGone
    ? `The server is gone: this is ${age} s old`
    : `asked ${age} s ago, in ${picture.seconds.toFixed(1)} s`;
}

setInterval(tick, 500);
new ResizeObserver(show).observe(at("picture"));
