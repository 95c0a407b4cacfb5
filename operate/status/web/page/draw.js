/** The topology as an SVG, at the size of its place: text is as large on a phone as elsewhere. */

const space = "http://www.w3.org/2000/svg";

/**
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {(Element | string)[]} [content]
 */
function element(name, attributes = {}, content = []) {
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...content);
  return made;
}

const text = (x, y, name, words, more = {}) =>
  element("text", { x, y, class: name, ...more }, [words]);

/** Sizes follow the width: larger where there is room for it. */
function sizesOf(width) {
  const scale = Math.min(1.35, Math.max(1, width / 1000));
  const isNarrow = width < 620;
  return {
    scale,
    isNarrow,
    gap: isNarrow ? 10 : 16 * scale,
    padding: isNarrow ? 10 : 16 * scale,
    title: 26 * scale,
    height: 84 * scale,
    between: isNarrow ? 40 : 52 * scale,
    /** A pair of databases stands apart, so that what goes between them is seen. */
    pair: isNarrow ? 28 : 84 * scale,
    most: 220 * scale,
    least: isNarrow ? 140 : 150 * scale,
  };
}

/**
 * Groups in lines, each a box with its members' cards; a group that is too wide for a line has several.
 * @returns {{ cards: Map<string, Box>, boxes: (Box & { name: string })[], bottom: number }}
 */
function place(groups, width, top, sizes) {
  const { gap, padding, title, height, between, most, least } = sizes;
  const cards = new Map();
  const boxes = [];
  const room = Math.max(1, Math.floor((width - 2 * padding + gap) / (least + gap)));
  const columnsOf = ({ members }) => Math.min(members.length, room);
  const gapOf = ({ name }) => (name === "database" ? sizes.pair : gap);
  const lines = [];
  let y = top;
  for (const kind of ["balancers", "tiers", "data", "machines"]) {
    let line = [];
    for (const group of groups.filter((one) => one.line === kind)) {
      const all = [...line, group];
      const least_ = all.reduce(
        (sum, one) => sum + columnsOf(one) * (least + gapOf(one)) - gapOf(one),
        0,
      );
      if (line.length > 0 && least_ + all.length * 2 * padding + (all.length - 1) * gap > width) {
        lines.push({ kind, line });
        line = [];
      }
      line.push(group);
    }
    if (line.length > 0) lines.push({ kind, line });
  }
  for (const [index, { kind, line }] of lines.entries()) {
    const columns = line.reduce((sum, one) => sum + columnsOf(one), 0);
    const inner = line.reduce((sum, one) => sum + (columnsOf(one) - 1) * gapOf(one), 0);
    const around = line.length * 2 * padding + (line.length - 1) * gap * 2;
    const card = Math.min(most, (width - inner - around) / columns);
    let x = (width - (columns * card + inner + around)) / 2;
    const rows = Math.max(...line.map((one) => Math.ceil(one.members.length / columnsOf(one))));
    const tall = title + rows * (height + gap) - gap + padding;
    for (const one of line) {
      const wide = columnsOf(one) * (card + gapOf(one)) - gapOf(one) + 2 * padding;
      boxes.push({ name: one.name, kind, x, y, width: wide, height: tall });
      for (const [place, name] of one.members.entries()) {
        const column = place % columnsOf(one);
        const row = Math.floor(place / columnsOf(one));
        cards.set(name, {
          x: x + padding + column * (card + gapOf(one)),
          y: y + title + row * (height + gap),
          width: card,
          height,
        });
      }
      x += wide + gap * 2;
    }
    const isLast = index === lines.length - 1;
    y += tall + (isLast ? 0 : lines[index + 1].kind === kind ? gap * 1.5 : between);
  }
  return { cards, boxes, bottom: y };
}

const middle = (box) => box.x + box.width / 2;

/** A curve from above to below. */
const fall = (x1, y1, x2, y2) =>
  `M${x1},${y1} C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`;

/** A flow: a line that moves the way that it leads. */
const flow = (path, kind) => [
  element("path", { d: path, class: `wire ${kind}`, "marker-end": `url(#${kind})` }),
  element("path", { d: path, class: `moves ${kind}` }),
];

/** The end of a flow. */
const head = (kind) =>
  element(
    "marker",
    {
      id: kind,
      viewBox: "0 0 10 10",
      refX: 9,
      refY: 5,
      orient: "auto",
      markerUnits: "userSpaceOnUse",
      markerWidth: 13,
      markerHeight: 13,
    },
    [element("path", { d: "M0,0 L10,5 L0,10 Z", class: `head ${kind}` })],
  );

const shapes = {
  ok: "M-6,0 a6,6 0 1 0 12,0 a6,6 0 1 0 -12,0 Z",
  degraded: "M0,-7 L7.5,6 L-7.5,6 Z",
  down: "M-6,-6 L6,6 M6,-6 L-6,6",
  unreachable: "M-6,0 a6,6 0 1 0 12,0 a6,6 0 1 0 -12,0 M-4,4 L4,-4",
  unknown: "M-6,0 L0,-7 L6,0 L0,7 Z",
};

/** What a member is just now, in a few words. */
function role({ marks, role: kind, state }) {
  if (state === "unreachable") return ["cannot be asked", false];
  const { holds = [], database, leader, release } = marks;
  if (holds.length === 2) return ["has both addresses", true];
  if (holds.length === 1) return [`has the ${holds[0]} address`, true];
  if (kind === "loadBalancer") return ["stands by", false];
  if (database === "primary") return ["primary", true];
  if (database) return [database, false];
  if (kind === "quorum" && leader === undefined) return ["no leader", false];
  if (leader !== undefined) return [leader ? "leader" : "follower", false];
  if (release) return [`release ${release.slice(0, 8)}`, false];
  return [kind === "cache" ? "Valkey" : kind, false];
}

function drawMember(member, box, { scale, isNarrow }) {
  const [words, isMain] = role(member);
  const { x, y, width, height } = box;
  const left = x + (isNarrow ? 11 : 14 * scale);
  const title = element("title", {}, [`${member.name}: ${member.state}, ${member.is}`]);
  return element("g", { class: "member", "data-state": member.state, "data-member": member.name }, [
    title,
    element("rect", { x, y, width, height, rx: 12, class: "card" }),
    text(left, y + 27 * scale, "name", member.name),
    text(left, y + 47 * scale, isMain ? "role main" : "role", words),
    element("path", {
      d: shapes[member.state],
      class: "shape",
      transform: `translate(${left + 7 * scale} ${y + 67 * scale}) scale(${scale})`,
    }),
    text(left + 21 * scale, y + 72 * scale, "word", member.state),
  ]);
}

/** Who sends what to whom: only what goes just now. */
function wires(scene, picture, { cards, boxes }, visitors) {
  const named = new Map(picture.members.map((one) => [one.name, one]));
  const is = (test) =>
    picture.members.find((one) => one.state !== "unreachable" && test(one.marks));
  const holder = is(({ holds }) => holds?.includes("frontend"));
  const primary = is(({ database }) => database === "primary");
  const standby = is(({ database }) => database === "synchronous standby");
  const made = [];
  const at = (name) => cards.get(name);
  const box = (name) => boxes.find((one) => one.name === name);
  const tiers = scene.groups.filter(({ line }) => line === "tiers");
  const areShared = scene.machines.length > 0;
  if (holder) {
    const lb = at(holder.name);
    made.push(...flow(fall(visitors.x, visitors.y, middle(lb), lb.y), "requests"));
    for (const name of tiers.flatMap(({ members }) => members)) {
      if (!holder.marks.sendsTo?.includes(name)) continue;
      const to = at(name);
      const path = areShared
        ? across(lb, to)
        : fall(middle(lb), lb.y + lb.height, middle(to), to.y);
      made.push(...flow(path, "requests"));
    }
  }
  const from = areShared ? holder && [at(holder.name)] : tiers.map(({ name }) => box(name));
  const leads = (to, kind, shift) => {
    for (const one of to ? (from ?? []) : []) {
      const path = areShared
        ? across(one, to)
        : fall(middle(one) + shift, one.y + one.height, middle(to), to.y);
      made.push(...flow(path, kind));
    }
  };
  leads(primary && at(primary.name), "writes", -12);
  leads(standby && at(standby.name), "reads", 12);
  for (const name of areShared
    ? []
    : (scene.groups.find((one) => one.name === "cache")?.members ?? []))
    if (named.get(name)?.state === "ok") leads(at(name), "cached", 24);
  const database = box("database");
  const etcd = box("etcd");
  const hasLeader = is(({ leader }) => leader);
  if (database && etcd && hasLeader && etcd.y > database.y) {
    const d = fall(middle(database), database.y + database.height, middle(etcd), etcd.y);
    made.push(element("path", { d, class: "wire asks" }));
  }
  if (primary && standby) made.push(...replication(at(primary.name), at(standby.name)));
  return made;
}

/** Between cards that are anywhere: beside each other over their heads, else from one to the next line. */
function across(from, to) {
  const [x1, x2] = [middle(from), middle(to)];
  if (Math.abs(from.y - to.y) < 1) {
    const lift = Math.min(44, 14 + Math.abs(x1 - x2) / 12);
    return `M${x1},${from.y} C${x1},${from.y - lift} ${x2},${to.y - lift} ${x2},${to.y}`;
  }
  return to.y > from.y
    ? fall(x1, from.y + from.height, x2, to.y)
    : fall(x1, from.y, x2, to.y + to.height);
}

function replication(from, to) {
  const isBeside = Math.abs(from.y - to.y) < 1 && Math.abs(from.x - to.x) < from.width * 1.6;
  if (!isBeside) return flow(across(from, to), "replication");
  const isRight = to.x > from.x;
  const y = from.y + from.height / 2;
  const [x1, x2] = isRight ? [from.x + from.width, to.x] : [from.x, to.x + to.width];
  return flow(`M${x1},${y} L${x2},${y}`, "replication");
}

/**
 * @param {any} scene what there is
 * @param {any} picture how it is
 * @param {number} width of the place, pixels
 */
export function draw(scene, picture, width) {
  const sizes = sizesOf(width);
  const { scale, padding, between, isNarrow } = sizes;
  const areShared = scene.machines.length > 0;
  const pill = { width: 150 * scale, height: 34 * scale, y: 4 };
  const groups = areShared
    ? scene.machines.map(({ name, members }) => ({ name, members, line: "machines" }))
    : scene.groups;
  const placed = place(groups, width - 2 * padding, pill.y + pill.height + between, sizes);
  for (const one of [...placed.cards.values(), ...placed.boxes]) one.x += padding;
  const height = placed.bottom + (isNarrow ? 34 : 30) * scale;
  const visitors = { x: width / 2, y: pill.y + pill.height };
  const [frontend, backend] = scene.networks;
  const holder = (network) =>
    picture.members.find(({ marks }) => marks.holds?.includes(network))?.name ?? "nobody";
  const address = (one) => `${one.vip} at ${holder(one.name)}`;
  const label = (one) => `${one.name} network ${one.subnet}`;
  const first = placed.boxes[0];
  const border = areShared ? pill.y + pill.height + between * 0.6 : first.y + first.height / 2;
  const bands = [
    element("rect", { x: 0, y: 0, width, height: border, rx: 16, class: "band frontend" }),
    element("rect", {
      x: 0,
      y: border,
      width,
      height: height - border,
      rx: 16,
      class: "band backend",
    }),
  ];
  const y = isNarrow ? pill.y + pill.height + 22 : 24 * scale;
  const words = isNarrow
    ? [text(padding, y, "network", `frontend ${address(frontend)}`)]
    : [
        text(padding, y, "network", label(frontend)),
        text(padding, y + 22 * scale, "network", address(frontend)),
      ];
  words.push(
    text(
      padding,
      height - 12 * scale,
      "network backend",
      isNarrow ? `backend ${address(backend)}` : `${label(backend)}, ${address(backend)}`,
    ),
  );
  const around = placed.boxes.map((one) =>
    element("rect", {
      x: one.x,
      y: one.y,
      width: one.width,
      height: one.height,
      rx: 16,
      class: areShared ? "around machine" : "around",
    }),
  );
  const titles = placed.boxes.map((one) =>
    text(one.x + sizes.padding, one.y + 18 * scale, "title", one.name),
  );
  const people = element("g", { class: "visitors" }, [
    element("rect", {
      x: visitors.x - pill.width / 2,
      y: pill.y,
      width: pill.width,
      height: pill.height,
      rx: pill.height / 2,
    }),
    text(visitors.x, pill.y + 23 * scale, "title", "visitors", { "text-anchor": "middle" }),
  ]);
  const members = picture.members
    .filter(({ name }) => placed.cards.has(name))
    .map((one) => drawMember(one, placed.cards.get(one.name), sizes));
  const svg = element(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": spoken(picture),
    },
    [
      element("defs", {}, ["requests", "writes", "reads", "cached", "replication"].map(head)),
      ...bands,
      ...around,
      ...wires(scene, picture, placed, visitors),
      people,
      ...words,
      ...titles,
      ...members,
    ],
  );
  svg.style.fontSize = `${scale}px`;
  return svg;
}

/** The drawing in words. */
function spoken({ stack, members, subjects }) {
  const not = members
    .filter(({ state }) => state !== "ok")
    .map((one) => `${one.name} ${one.state}`);
  const who = subjects.slice(0, 2).map(({ is }) => is);
  return `${stack}: ${who.join("; ")}; ${not.length > 0 ? not.join(", ") : "all members ok"}`;
}
