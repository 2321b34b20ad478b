// Begins uploads and exports, shows the tasks as the server tells of them, and passes on what is asked of them.
// A task's card is changed in place, never made anew: whoever is on a button stays there.

const $ = (selector, within = document) => within.querySelector(selector);
const token = $('meta[name="csrf-token"]').content;
const number = new Intl.NumberFormat("en");
const cards = new Map();

// ------------------------------------------------------------------------------------------- requests

function toSignIn(status) {
  if (status === 403) location.reload(); // signed out meanwhile; the form to sign in comes instead
}

async function ask(method, url, body) {
  const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  const told = await response.json();
  if (!response.ok) {
    toSignIn(response.status);
    throw new Error(told.error);
  }
  return told;
}

function send(form, onProgress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest(); // fetch can't tell how much is sent
    request.open("POST", "/upload/");
    request.setRequestHeader("X-CSRFToken", token);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onerror = () => failed(new Error("The connection broke; send the file again."));
    request.onload = () => {
      if (request.status === 202) return done();
      toSignIn(request.status);
      let why = `The server answered ${request.status}.`;
      try { why = JSON.parse(request.responseText).error; } catch { /* no JSON: a proxy's answer */ }
      failed(new Error(why));
    };
    request.send(new FormData(form));
  });
}

// ---------------------------------------------------------------------------------------------- forms

function onSubmit(form, act) {
  $("button", form).disabled = false; // until now there was nobody to hear of it
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = $(".error", form), button = $("button", form);
    error.textContent = "";
    button.disabled = true;
    try {
      await act();
      form.reset();
      show(await ask("GET", "/tasks/"));
      $("#tasks").firstElementChild?.focus();
    } catch (why) {
      error.textContent = why.message;
    }
    button.disabled = false;
  });
}

const upload = $("#upload"), sending = $("#sending"), drop = $(".drop"), chosen = $("#chosen"), file = upload.elements.file;
const invitation = chosen.textContent;

function choose() {
  const one = file.files[0];
  drop.classList.toggle("full", Boolean(one));
  chosen.textContent = one ? `${one.name} (${size(one.size)})` : invitation;
  if (one) {
    const stem = one.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9_]+/g, "_").replace(/^(?=\d)/, "_");
    upload.elements.table.value = stem.slice(0, 63);
  }
}

file.addEventListener("change", choose);
upload.addEventListener("reset", () => setTimeout(choose));
choose(); // there may be one already: chosen before this ran, or kept by the browser
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      file.files = event.dataTransfer.files;
      choose();
    }
  });
}
onSubmit(upload, async () => {
  sending.hidden = false;
  try {
    await send(upload, (fraction) => { $("progress", sending).value = fraction; });
  } finally {
    sending.hidden = true;
  }
});

const exporting = $("#export");
onSubmit(exporting, () => {
  const given = [...new FormData(exporting)].filter(([, value]) => value);
  return ask("GET", `/export/?${new URLSearchParams(given)}`);
});

// ---------------------------------------------------------------------------------------------- tasks

function show({ tasks }) {
  const list = $("#tasks"), known = new Set(tasks.map((task) => task.task_id));
  for (const [id, card] of cards) {
    if (!known.has(id)) {
      card.element.remove();
      cards.delete(id);
    }
  }
  tasks.forEach((task, place) => {
    if (!cards.has(task.task_id)) cards.set(task.task_id, make());
    const card = cards.get(task.task_id);
    fill(card, task);
    if (list.children[place] !== card.element) list.insertBefore(card.element, list.children[place] ?? null);
  });
  $("#none").hidden = tasks.length > 0;
  const tables = new Set(tasks.filter((task) => task.status === "completed").map((task) => task.table));
  $("#tables").replaceChildren(...[...tables].map((table) => new Option(table)));
}

function make() {
  const card = { element: $("#task").content.firstElementChild.cloneNode(true), task: {} };
  $(".turn", card.element).addEventListener("click", (event) => act(card, event.currentTarget.value));
  $(".terminate", card.element).addEventListener("click", () => {
    const { kind, table, file } = card.task, sure = $("#sure");
    $("p", sure).textContent = kind === "upload"
      ? `The upload of ${file} is called off. Table ${table} will be as it was before.`
      : `The export of ${table} is called off. No file will be left.`;
    sure.returnValue = "no"; // what Esc means
    sure.onclose = () => sure.returnValue === "yes" && act(card, "terminate");
    sure.showModal();
  });
  return card;
}

function fill(card, task) {
  const { element } = card, before = card.task.status;
  card.task = task;
  const [from, to] = task.kind === "upload" ? [task.file, `table ${task.table}`] : [`table ${task.table}`, task.file];
  const at = element.contains(document.activeElement) && document.activeElement;
  set($(".from", element), from);
  set($(".to", element), to);
  set($(".state", element), state(task));
  set($(".facts", element), facts(task));
  element.dataset.state = task.status;
  element.setAttribute("aria-label", `${from} into ${to}`);
  const bar = $("progress", element);
  bar.hidden = task.status === "terminated" || task.status === "unknown";
  if (task.fraction !== null && task.fraction !== undefined) bar.value = task.fraction;
  else if (task.status === "running") bar.removeAttribute("value"); // how much there is can't be told
  else bar.value = 0;
  bar.setAttribute("aria-label", `${from} into ${to}: done`);
  const turn = $(".turn", element), next = task.actions.find((action) => action !== "terminate");
  turn.hidden = !next;
  if (next) {
    turn.value = next;
    set(turn, next === "pause" ? "Pause" : "Resume");
    turn.disabled = task.asked === "pause";
  }
  $(".terminate", element).hidden = !task.actions.includes("terminate");
  const download = $(".download", element);
  download.hidden = !task.file_url;
  if (task.file_url) download.href = task.file_url;
  const message = $(".message", element);
  message.hidden = !task.message || task.status === "running";
  set(message, task.message);
  if (at && (at.hidden || at.disabled)) element.focus();
  if (before && before !== task.status) $("#said").textContent = `${from} into ${to}: ${state(task)}`;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function act(card, action) {
  const { element, task } = card;
  try {
    fill(card, await ask("PUT", task.action_url, { action }));
  } catch (why) {
    const message = $(".message", element);
    message.hidden = false;
    message.textContent = why.message;
  }
}

// ---------------------------------------------------------------------------------------------- words

function state({ status, asked }) {
  if (asked === "terminate") return "terminating …";
  if (asked === "pause") return "pausing …";
  if (status === "queued" || (status === "interrupted" && asked === "resume")) return "waiting for a worker";
  return status;
}

function facts({ rows, rejected, fraction, rate, eta, status, sessions }) {
  if (status === "unknown") return "";
  if (status === "terminated") return "undone: nothing is left of it";
  const parts = [rows === 1 ? "1 row" : `${number.format(rows)} rows`];
  if (rejected) parts.push(`${number.format(rejected)} rejected`);
  if (status !== "completed" && fraction) parts.push(`${Math.floor(100 * fraction)} %`);
  if (rate) parts.push(`${number.format(Math.round(rate))} rows/s`);
  if (eta && status !== "completed") parts.push(`${duration(eta)} left`);
  if (sessions > 1) parts.push(`${sessions} sessions`);
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · "); // lines break between them only
}

function duration(seconds) {
  const whole = Math.ceil(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function size(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${number.format(Number((bytes / 1000 ** power).toPrecision(3)))} ${["bytes", "kB", "MB", "GB", "TB"][power]}`;
}

// ------------------------------------------------------------------------------------------- the news

function watch() {
  const source = new EventSource("/tasks/events");
  source.onmessage = (event) => {
    $("#offline").hidden = true;
    show(JSON.parse(event.data));
  };
  source.onerror = async () => { // it tries again by itself, unless it was refused: too many watch, or signed out
    const refused = source.readyState === EventSource.CLOSED;
    try {
      show(await ask("GET", "/tasks/"));
      $("#offline").hidden = true;
    } catch {
      $("#offline").hidden = false;
    }
    if (refused) setTimeout(watch, 2000);
  };
}

watch();
