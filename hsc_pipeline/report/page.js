/* Figures become interactive when they come near the window; picking an arm picks it in all of them. */
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("figures").textContent);
  const small = window.matchMedia("(max-width: 640px)");
  const views = new Map();
  let highlight = "";

  /* Data are kept by column, each set once; Vega wants rows, and writes into them. */
  function rows(name) {
    const whole = (column) => (column.levels ? column.codes.map((code) => column.levels[code]) : column);
    const columns = Object.entries(page.data[name]).map(([key, column]) => [key, whole(column)]);
    const length = columns.length ? columns[0][1].length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(columns.map(([key, values]) => [key, values[i]])));
  }

  function dataNames(part, found = new Set()) {
    if (part && typeof part === "object") {
      if (part.data && part.data.name) found.add(part.data.name);
      Object.values(part).forEach((child) => dataNames(child, found));
    }
    return found;
  }

  function specification(name) {
    const spec = page.figures[name];
    const datasets = Object.fromEntries([...dataNames(spec)].map((data) => [data, rows(data)]));
    const whole = { ...spec, config: page.config, datasets };
    if (!small.matches) return whole;
    const { columns, width } = spec.usermeta;
    return { ...whole, columns, concat: spec.concat.map((panel) => ({ ...panel, width })) };
  }

  /* All rows that a figure draws, below one another, with the title of their panel. */
  function csv(name) {
    const parts = page.figures[name].concat.flatMap((panel) =>
      [...dataNames(panel)].flatMap((data) => rows(data).map((row) => ({ panel: panel.title || "", ...row }))),
    );
    const columns = [...new Set(parts.flatMap(Object.keys))];
    const cell = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [columns, ...parts.map((row) => columns.map((column) => row[column]))];
    return lines.map((line) => line.map(cell).join(",")).join("\n") + "\n";
  }

  function save(name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(name)], { type: "text/csv" }));
    link.download = `${page.study}_${name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /* Legends beside one another would be wider than a telephone, and shrink the whole figure. */
  function oneColumn(part) {
    if (!part || typeof part !== "object") return part;
    if (Array.isArray(part)) return part.map(oneColumn);
    const own = Object.entries(part).map(([key, value]) => [key, oneColumn(value)]);
    const copy = Object.fromEntries(own);
    return copy.legend ? { ...copy, legend: { ...copy.legend, columns: 1 } } : copy;
  }

  async function draw(figure) {
    const live = figure.querySelector(".live");
    const options = {
      mode: "vega-lite",
      renderer: "svg",
      ast: true, /* no eval, so that the page may forbid it */
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: `${page.study}_${figure.dataset.name}`,
    };
    try {
      let result = await window.vegaEmbed(live, specification(figure.dataset.name), options);
      if (small.matches && live.querySelector("svg.marks").viewBox.baseVal.width > 1.1 * figure.clientWidth) {
        result.finalize();
        const { datasets, ...rest } = specification(figure.dataset.name);
        result = await window.vegaEmbed(live, { ...oneColumn(rest), datasets }, options);
      }
      const before = views.get(figure);
      views.set(figure, result);
      if (before) before.finalize();
      /* The figure has one label beside it; thousands of marks would drown a screen reader. */
      live.querySelector("svg.marks").setAttribute("aria-hidden", "true");
      live.querySelector("summary").setAttribute("aria-label", "Save this figure as an image");
      figure.classList.add("drawn");
      if (highlight) await result.view.signal("highlight", highlight).runAsync();
    } catch (error) {
      console.error(figure.dataset.name, error); /* the drawing stays */
    }
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        near.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: "500px" },
  );
  document.querySelectorAll("figure[data-name]").forEach((figure) => near.observe(figure));
  small.addEventListener("change", () => [...views.keys()].forEach(draw));

  for (const button of document.querySelectorAll(".data button")) {
    button.addEventListener("click", () => save(button.dataset.figure));
  }

  const chips = [...document.querySelectorAll(".chips button")];
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      highlight = highlight === chip.value ? "" : chip.value;
      for (const other of chips) other.setAttribute("aria-pressed", String(other.value === highlight));
      document.querySelectorAll("[data-arm]").forEach((cell) => {
        cell.classList.toggle("faded", highlight !== "" && cell.dataset.arm !== highlight);
      });
      for (const { view } of views.values()) view.signal("highlight", highlight).runAsync();
    });
  }
  document.documentElement.classList.add("scripted");
})();
