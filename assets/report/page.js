"use strict";
/* What moves on the page: the slider over p, the sample browser, the tokens' numbers. Data reach the page as text only. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  /** An element with a class, attributes and children; strings become text. */
  function element(tag, options = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "class") node.className = value;
      else if (value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  /** A true minus; a value that rounds to zero has none. */
  const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−"));
  const count = (value) => value.toLocaleString("en-US");
  const share = (part, whole) => (whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)}\u202f%`);
  const nats = (value) => minus(Math.abs(value) < 0.1 ? value.toFixed(4) : value.toFixed(3));
  const signed = (value) => minus(value > 0 ? `+${value.toFixed(2)}` : value.toFixed(2));
  const percent = (probability) => {
    const value = 100 * probability;
    return value >= 9.95 ? `${value.toFixed(0)} %` : value >= 0.095 ? `${value.toFixed(1)} %` : value > 0 ? "below 0.1 %" : "0 %";
  };

  // ---- the slider ----

  let stop = data.run;

  /** Places something at a value of a chart's linear scale. */
  function place(scale, value) {
    const [d0, d1, r0, r1] = scale.split(" ").map(Number);
    const at = r0 + ((value - d0) / (d1 - d0)) * (r1 - r0);
    return Math.min(Math.max(at, Math.min(r0, r1)), Math.max(r0, r1));
  }

  function stopShare() {
    return data.top_percent[stop] ?? (100 * data.kept[stop]) / data.num_vig;
  }

  function moveCharts() {
    const tau = data.tau[stop];
    for (const svg of document.querySelectorAll(".chart")) {
      const mark = svg.querySelector(".tau");
      if (mark) {
        const x = place(svg.dataset.x, tau);
        mark.setAttribute("transform", `translate(${x.toFixed(1)},0)`);
        svg.querySelector(".clip")?.setAttribute("x", x.toFixed(1));
      }
      const here = svg.querySelector(".here");
      if (here) {
        here.setAttribute("cx", place(svg.dataset.x, stopShare()).toFixed(1));
        const isTau = svg.closest("figure").matches(".trio > :first-child");
        here.setAttribute("cy", place(svg.dataset.y, isTau ? tau : (100 * data.active[stop]) / Math.max(1, data.num_vig_tokens)).toFixed(1));
      }
    }
  }

  function showStop() {
    const given = data.top_percent[stop] === null;
    const tau = data.tau[stop];
    const kept = `${count(data.kept[stop])} (${share(data.kept[stop], data.num_vig)})`;
    const active = `${count(data.active[stop])} (${share(data.active[stop], data.num_vig_tokens)})`;
    const name = given ? `${stopShare().toFixed(1)} % (τ given)` : `${data.top_percent[stop]} %`;
    byId("p-value").textContent = name;
    byId("tau-value").textContent = `${nats(tau)} nats`;
    byId("kept-value").textContent = kept;
    byId("active-value").textContent = active;
    byId("p").setAttribute("aria-valuetext", `top ${name}, tau ${nats(tau)} nats, ${kept} samples kept, ${active} answer tokens active`);
    byId("p-reset").disabled = stop === data.run;
    for (const row of document.querySelectorAll("tr[data-source]")) {
      const source = data.sources[Number(row.dataset.source)];
      row.querySelector(".kept-share").textContent = share(source.kept[stop], source.num_samples);
      row.querySelector(".active-share").textContent = share(source.active[stop], source.num_tokens);
    }
    moveCharts();
    for (const answer of document.querySelectorAll(".answer")) markActive(answer);
    for (const badge of document.querySelectorAll(".badge")) fillBadge(badge);
  }

  if (byId("p")) {
    byId("p").addEventListener("input", (event) => {
      stop = Number(event.target.value);
      showStop();
    });
    byId("p-reset").addEventListener("click", () => {
      stop = data.run;
      byId("p").value = String(stop);
      showStop();
      byId("p").focus();
    });
  }

  // ---- tokens ----

  /** Compared as stored: float32, widened. */
  function isActive(sample, vig) {
    if (sample.vig === null) return true;
    if (data.tau.length === 0) return false;
    const tau = data.tau[stop];
    const token = Math.fround(vig) >= tau;
    if (data.granularity === "sample") return sample.vig >= tau;
    return data.granularity === "token" ? token : token && sample.vig >= tau;
  }

  const samplesOf = new WeakMap();

  function markActive(answer) {
    const sample = samplesOf.get(answer);
    for (const token of answer.children) {
      const vig = Number(token.dataset.vig);
      const active = isActive(sample, vig);
      token.classList.toggle("active", active);
      if (token.hasAttribute("aria-label")) {
        const numbers = sample.vig === null ? "" : `, VIG ${signed(vig)} nats`;
        token.setAttribute("aria-label", `${token.textContent.trim() || "space"}${numbers}, ${active ? "active" : "not active"}`);
      }
    }
  }

  function tint(vig) {
    const { limit, steps } = data.tint;
    const level = Math.round(steps * Math.min(1, Math.abs(vig) / limit) ** 0.75);
    return level === 0 ? "v0" : `v${vig < 0 ? "-" : ""}${level}`;
  }

  /** Of the chat template, such as an end of turn. */
  const isMarkup = (text) => /^\s*<[^<>\s]+>\s*$/.test(text);

  /**
   * The tokens of one turn. `interactive`: one stop of the Tab key, arrow keys move among tokens; else plain text whose
   * numbers come on hover only.
   */
  function answerOf(sample, tokens, interactive) {
    const answer = element("div", interactive ? { class: "answer", role: "listbox", "aria-label": "Answer tokens; arrow keys move among them", "aria-orientation": "horizontal" } : { class: "answer" });
    for (const [text, vig = 0, nll = 0] of tokens) {
      const markup = isMarkup(text);
      // White space before a word is no part of what is tinted.
      const space = /^\s*/.exec(text)[0];
      const word = markup || space.length === text.length ? text : text.slice(space.length);
      if (word !== text) answer.append(space);
      const token = element("span", { class: `tok ${sample.vig === null ? "v0" : tint(vig)}${markup ? " markup" : ""}`, "data-vig": vig, "data-nll": nll }, word === "" ? "·" : /^[\r\n]+$/.test(word) ? `↵${word}` : word);
      if (interactive) {
        token.setAttribute("role", "option");
        token.setAttribute("aria-selected", "false");
        token.setAttribute("aria-label", "");
        token.tabIndex = answer.childElementCount === 0 ? 0 : -1;
      }
      answer.append(token);
    }
    samplesOf.set(answer, sample);
    markActive(answer);
    answer.addEventListener("pointerover", (event) => event.target.matches(".tok") && showTip(event.target, sample));
    answer.addEventListener("pointerout", hideTip);
    answer.addEventListener("focusin", (event) => {
      event.target.setAttribute("aria-selected", "true");
      showTip(event.target, sample);
    });
    answer.addEventListener("focusout", (event) => {
      event.target.setAttribute("aria-selected", "false");
      hideTip();
    });
    if (interactive) answer.addEventListener("keydown", (event) => rove(event, answer.children));
    return answer;
  }

  /** Arrow keys, Home and End among elements of which one is in the order of the Tab key. */
  function rove(event, items) {
    const all = [...items];
    const at = all.indexOf(event.target);
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape") hideTip();
    if (at < 0 || next === undefined || !all[next]) return undefined;
    event.preventDefault();
    all[at].tabIndex = -1;
    all[next].tabIndex = 0;
    all[next].focus();
    return all[next];
  }

  const tip = byId("tip");

  function showTip(token, sample) {
    const vig = Number(token.dataset.vig);
    const nll = Number(token.dataset.nll);
    const name = element("b", {}, `“${token.textContent.trim() || "␣"}”`);
    if (sample.vig === null) tip.replaceChildren(name, element("span", {}, "Text-only sample: no VIG, kept whole."));
    else {
      tip.replaceChildren(
        name,
        ` VIG ${signed(vig)} nats, ${token.classList.contains("active") ? "active" : "not active"}`,
        element("span", {}, `probability: blurred ${percent(Math.exp(-nll - vig))}, with the image ${percent(Math.exp(-nll))}`),
        element("span", {}, `NLL: blurred ${(nll + vig).toFixed(2)}, with the image ${nll.toFixed(2)}`),
      );
    }
    tip.hidden = false;
    const box = token.getClientRects()[0] ?? token.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left + window.scrollX}px`;
    tip.style.top = `${(above > 48 ? above : box.bottom + 8) + window.scrollY}px`;
  }

  function hideTip() {
    tip.hidden = true;
  }

  document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());

  // ---- one sample ----

  function picturesOf(sample, small) {
    if (sample.images.length === 0) return [];
    const shown = sample.pictures.filter((picture) => typeof picture === "number").slice(0, small ? 1 : 4);
    if (shown.length === 0) return small ? [] : [element("p", { class: "missing" }, `No picture: ${sample.pictures[0] ?? "there is none"}`)];
    return shown.map((number) => {
      const { clean, blurred, width, height } = data.pictures[number];
      const image = (src, alt, caption) => element("figure", {}, element("img", { src, alt, width, height, decoding: "async" }), small ? null : element("figcaption", {}, caption));
      return element("div", { class: "pair" }, image(clean, `Image of sample ${sample.id}`, "with the image"), blurred ? image(blurred, "The same image, blurred", "“no image”") : null);
    });
  }

  const WHO = { user: "Question", system: "System", assistant: "Answer" };

  function turnsOf(sample, interactive) {
    return sample.turns.map((turn) => {
      const body = turn.tokens ? answerOf(sample, turn.tokens, interactive) : element("p", {}, turn.text.replace(/<image>\s*/g, "").trim());
      return element("div", { class: "turn" }, element("span", { class: "who" }, WHO[turn.role] ?? turn.role), body);
    });
  }

  function fillBadge(badge) {
    const vig = badge.dataset.vig;
    const kept = vig === "" || (data.tau.length > 0 && (data.granularity === "token" || Number(vig) >= data.tau[stop]));
    badge.textContent = vig === "" ? "text-only, kept whole" : kept ? "kept at this τ" : "dropped at this τ";
    badge.classList.toggle("kept", kept);
    badge.classList.toggle("dropped", !kept);
  }

  function badgeOf(sample) {
    const badge = element("span", { class: "badge", "data-vig": sample.vig ?? "" });
    fillBadge(badge);
    return badge;
  }

  const sourceText = (sample) => (sample.source === "" ? "" : sample.source);

  function showDetail(sample) {
    const facts = [];
    const fact = (name, value) => facts.push(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    if (sample.vig !== null) {
      fact("VIG", `${signed(sample.vig)} nats`);
      fact("NLL blurred", sample.nll_blur.toFixed(3));
      fact("NLL with the image", sample.nll_image.toFixed(3));
      const ratio = Math.exp(Math.abs(sample.vig));
      fact("Each token is on average", `${ratio < 10 ? ratio.toFixed(2) : count(Math.round(ratio))} times ${sample.vig < 0 ? "less" : "more"} likely with the image`);
    }
    fact("Answer tokens", sample.num_shown < sample.num_tokens ? `${count(sample.num_shown)} of ${count(sample.num_tokens)} shown` : count(sample.num_tokens));
    byId("detail").replaceChildren(
      element("h3", {}, sample.id),
      element("p", { class: "fine" }, sourceText(sample), sample.source === "" ? "" : " · ", badgeOf(sample)),
      ...picturesOf(sample, false),
      ...turnsOf(sample, true),
      element("dl", { class: "facts" }, ...facts),
    );
    hideTip();
  }

  // ---- choosing a sample ----

  const searchable = data.samples.map((sample) => {
    const text = sample.turns.map((turn) => (turn.tokens ? turn.tokens.map(([piece]) => piece).join("") : turn.text)).join(" ");
    return { sample, text: `${sample.id} ${sample.source} ${text}`.toLowerCase(), answer: answerText(sample) };
  });

  function answerText(sample) {
    const turn = sample.turns.find((one) => one.role === "assistant");
    const text = turn ? (turn.tokens ? turn.tokens.filter(([piece]) => !isMarkup(piece)).map(([piece]) => piece).join("") : turn.text) : "";
    return text.trim().slice(0, 120);
  }

  let selected;

  function listed() {
    const query = byId("search").value.trim().toLowerCase();
    if (query !== "") return searchable.filter(({ text }) => text.includes(query));
    const group = document.querySelector("input[name=group]:checked")?.value;
    return searchable.filter(({ sample }) => sample.groups.includes(group));
  }

  function showList() {
    const found = listed();
    const searching = byId("search").value.trim() !== "";
    byId("found").textContent = searching ? `${count(found.length)} found on this page` : `${count(found.length)} samples`;
    byId("list").replaceChildren(...found.map(({ sample, answer }) => itemOf(sample, answer)));
    if (found.length > 0 && !found.some(({ sample }) => sample === selected)) select(found[0].sample);
    else markSelected();
  }

  function itemOf(sample, answer) {
    const picture = sample.pictures.find((one) => typeof one === "number");
    const thumb = picture === undefined ? element("span", { class: "blank" }) : element("img", { src: data.pictures[picture].clean, alt: "", width: 44, height: 44, decoding: "async" });
    const item = element(
      "div",
      { class: "item", role: "option", "aria-selected": "false" },
      thumb,
      element("span", {}, element("span", { class: "name" }, sample.id), element("span", { class: "excerpt" }, answer)),
      element("span", { class: "value" }, sample.vig === null ? "text" : signed(sample.vig)),
    );
    item.tabIndex = -1;
    samplesOf.set(item, sample);
    item.addEventListener("click", () => select(sample));
    return item;
  }

  function markSelected() {
    const items = [...byId("list").children];
    for (const item of items) {
      const chosen = samplesOf.get(item) === selected;
      item.setAttribute("aria-selected", String(chosen));
      item.tabIndex = chosen ? 0 : -1;
    }
    if (items.length > 0 && !items.some((item) => item.tabIndex === 0)) items[0].tabIndex = 0;
  }

  function select(sample) {
    selected = sample;
    showDetail(sample);
    markSelected();
  }

  if (byId("list") && data.samples.length > 0) {
    byId("list").addEventListener("keydown", (event) => {
      const item = rove(event, byId("list").children);
      if (item) select(samplesOf.get(item));
    });
    byId("search").addEventListener("input", showList);
    for (const radio of document.querySelectorAll("input[name=group]")) {
      radio.addEventListener("change", () => {
        byId("search").value = "";
        showList();
      });
    }
    showList();
  }

  // ---- cards and the picture at the top ----

  function cardOf(sample) {
    const show = element("button", { type: "button", class: "quiet" }, "Token by token");
    show.addEventListener("click", () => {
      byId("search").value = sample.id;
      selected = sample;
      showList();
      select(sample);
      byId("tokens").scrollIntoView();
      byId("search").focus({ preventScroll: true });
    });
    const turn = sample.turns.findLast((one) => one.tokens);
    const question = sample.turns.findLast((one) => one.role === "user");
    return element(
      "article",
      { class: "card plate", "aria-label": `Sample ${sample.id}` },
      ...picturesOf(sample, true),
      question ? element("p", { class: "question" }, question.text.replace(/<image>\s*/g, "").trim().slice(0, 200)) : null,
      turn ? answerOf(sample, turn.tokens.slice(0, 90), false) : null,
      element("div", { class: "foot" }, element("span", { class: "fine" }, `VIG ${signed(sample.vig)} · ${sample.id.slice(0, 40)}`), show),
    );
  }

  const CARDS = 6;
  const against = (group, isWanted) => data.samples.filter((sample) => sample.groups.includes(group) && sample.vig !== null && isWanted(sample)).slice(0, CARDS).map(cardOf);
  byId("against-answers")?.replaceChildren(...against("lowest", ({ vig }) => vig < 0));
  byId("against-words")?.replaceChildren(...against("contradicted", () => true));

  /** The sample whose tokens differ most, among those with a picture and an answer of a line or two that the image confirms. */
  function specimen() {
    let best;
    for (const sample of data.samples) {
      const vigs = sample.turns.flatMap((turn) => turn.tokens ?? []).map(([, vig]) => vig);
      if (sample.vig === null || vigs.length < 8 || vigs.length > 60 || !sample.pictures.some((one) => typeof one === "number")) continue;
      const mean = vigs.reduce((sum, vig) => sum + vig, 0) / vigs.length;
      const spread = Math.sqrt(vigs.reduce((sum, vig) => sum + (vig - mean) ** 2, 0) / vigs.length);
      const worth = spread + 3 * Math.min(0, ...vigs);
      if (sample.vig > 0 && (!best || worth > best.worth)) best = { sample, worth };
    }
    return best?.sample;
  }

  const shown = specimen();
  if (shown) {
    const frame = byId("specimen");
    frame.replaceChildren(element("div", {}, ...picturesOf(shown, false).slice(0, 1)), element("div", {}, ...turnsOf(shown, true), document.querySelector(".legend").cloneNode(true)));
    frame.hidden = false;
  }

  // ---- colour scheme ----

  const themes = ["system", "light", "dark"];
  let theme = 0;
  byId("theme").addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    if (theme === 0) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = themes[theme];
    byId("theme").setAttribute("aria-label", `Colour scheme: ${theme === 0 ? "as the system" : themes[theme]}`);
  });

  if (data.tau.length > 0 && byId("p")) showStop();
})();
