"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures"), themes = read("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const theme = () => (dark.matches ? themes.dark : themes.light);

  // Colors are written by role, "@w0" or "@w0/0.2" with an opacity, and become values only here.
  const color = (role) => {
    const [name, opacity] = role.slice(1).split("/"), value = theme()[name];
    if (!opacity || typeof value !== "string") return value;
    const part = (at) => parseInt(value.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
  };
  const resolve = (value) => {
    if (typeof value === "string") return value.startsWith("@") ? color(value) : value;
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
    }
    return value;
  };

  const axis = (own) => {
    const title = own && own.title ? { standoff: 8, font: { size: 12.5, color: color("@muted") }, ...own.title } : undefined;
    return {
      gridcolor: color("@grid"), linecolor: color("@grid"), zerolinecolor: color("@grid"), zeroline: false, automargin: true,
      tickfont: { size: 11.5, color: color("@muted") }, ...resolve(own || {}), ...(title ? { title } : {}),
    };
  };

  const layoutOf = ({ figure, minus }, panel) => {
    const heat = figure.shape === "heat";
    const own = { ...panel.layout };
    if (minus && panel.reference) {
      const title = { text: `${own.yaxis.title.text} − ${figure.reference}` };
      Object.assign(own, { shapes: [], yaxis: { ...own.yaxis, type: "linear", title } });
    }
    const layout = {
      autosize: true, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: color("@ink") },
      margin: { l: 10, r: 10, t: 10, b: 10 }, hovermode: heat ? "closest" : "x unified", dragmode: coarse ? false : "zoom",
      hoverlabel: { bgcolor: color("@hover"), bordercolor: color("@grid"), font: { size: 12, color: color("@ink") } },
      ...resolve(own), xaxis: axis(own.xaxis), yaxis: axis(own.yaxis),
    };
    if (heat) {
      layout.margin = { l: 2, r: 2, t: 6, b: 2 };
      Object.assign(layout.xaxis, { constrain: "domain", showticklabels: false, ticks: "", showgrid: false });
      Object.assign(layout.yaxis, { autorange: "reversed", scaleanchor: "x", constrain: "domain", showticklabels: false, ticks: "", showgrid: false });
    }
    return layout;
  };

  // The reference curve at any abscissa, linear between its points.
  const between = (xs, ys, x) => {
    let at = xs.findIndex((value) => value >= x);
    if (at < 0) at = xs.length - 1;
    if (xs[at] === x || at === 0) return ys[at];
    return ys[at - 1] + (ys[at] - ys[at - 1]) * (x - xs[at - 1]) / (xs[at] - xs[at - 1]);
  };

  const dataOf = ({ figure, hidden, minus }, panel) => panel.data.map((raw) => {
    const trace = resolve(raw);
    if (typeof trace.x === "string") trace.x = figure.axes[trace.x];
    if (minus && panel.reference) {
      const [name, values] = panel.reference;
      trace.y = trace.y.map((y, i) => (y === null ? null : y - between(figure.axes[name], values, trace.x[i])));
    }
    if (trace.type === "heatmap") {
      trace.colorbar = { orientation: "h", thickness: 9, y: -0.02, yanchor: "top", len: 1, outlinewidth: 0, nticks: 5,
        tickfont: { size: 11, color: color("@muted") } };
    } else if (trace.type === "scatter" && !trace.hovertemplate && !trace.hoverinfo) {
      trace.hovertemplate = "%{y:.4g}";
    }
    trace.visible = !hidden.has(trace.legendgroup);
    return trace;
  });

  // One legend for all panels of a figure, wrapping on narrow screens.
  const legend = (state) => {
    const entries = new Map();
    for (const panel of state.view()) {
      for (const raw of panel.data) {
        if (raw.type !== "scatter" || raw.band || !raw.name) continue;
        const known = entries.get(raw.legendgroup) || {};
        entries.set(raw.legendgroup, {
          name: raw.name, ink: color((raw.line || raw.marker).color),
          dash: raw.line ? (raw.line.dash || "solid") : known.dash, marker: raw.marker ? raw.marker.symbol || "circle" : known.marker,
        });
      }
    }
    const box = state.root.querySelector(".legend");
    box.replaceChildren();
    if (entries.size < 2) return;
    for (const [group, { name, ink, dash, marker }] of entries) {
      const button = document.createElement("button");
      const dashes = { dash: "6 4", dot: "2 3" }[dash] || "none";
      const stroke = dash ? `<line x1="0" y1="6" x2="24" y2="6" stroke="${ink}" stroke-width="2.4" stroke-dasharray="${dashes}"/>` : "";
      const shapes = {
        square: '<rect x="8" y="2" width="8" height="8"/>', diamond: '<path d="M12 0.5l5.5 5.5-5.5 5.5-5.5-5.5z"/>',
        "square-open": '<rect x="8" y="2" width="8" height="8" fill="none" stroke-width="1.6"/>',
      };
      const dot = marker ? `<g fill="${ink}" stroke="${ink}">${shapes[marker] || '<circle cx="12" cy="6" r="4"/>'}</g>` : "";
      button.type = "button";
      button.innerHTML = `<svg viewBox="0 0 24 12" aria-hidden="true">${stroke}${dot}</svg>`;
      button.append(superscript(name));
      button.setAttribute("aria-pressed", String(!state.hidden.has(group)));
      button.addEventListener("click", () => {
        state.hidden.has(group) ? state.hidden.delete(group) : state.hidden.add(group);
        draw(state);
      });
      box.append(button);
    }
  };
  const superscript = (text) => {
    const span = document.createElement("span"), match = /^(.*\bN)\^([−-]?[\d.]+)(.*)$/.exec(text);
    if (!match) { span.textContent = text; return span; }
    const raised = document.createElement("sup");
    raised.textContent = match[2].replace("-", "−");
    span.append(match[1], raised, match[3].replaceAll("-", "−"));
    return span;
  };

  const draw = (state) => {
    const plots = state.root.querySelectorAll(".plot");
    state.view().forEach((panel, at) => {
      Plotly.react(plots[at], dataOf(state, panel), layoutOf(state, panel), {
        responsive: true, displaylogo: false, displayModeBar: coarse ? false : "hover", scrollZoom: false,
        modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
      });
    });
    legend(state);
  };

  const controls = (state) => {
    const box = state.root.querySelector(".controls");
    if (state.figure.reference) {
      const label = document.createElement("label"), input = document.createElement("input");
      input.type = "checkbox";
      input.addEventListener("input", () => { state.minus = input.checked; draw(state); });
      label.append(input, `subtract ${state.figure.reference}`);
      box.append(label);
    }
    state.figure.controls.forEach((control, at) => {
      const label = document.createElement("label"), input = document.createElement(control.kind === "range" ? "input" : "select");
      label.append(control.label, input);
      if (control.kind === "range") {
        const output = document.createElement("output");
        Object.assign(input, { type: "range", min: 0, max: control.options.length - 1, step: 1 });
        input.value = control.initial;
        output.textContent = control.options[control.initial];
        input.addEventListener("input", () => { output.textContent = control.options[input.value]; });
        label.append(output);
      } else {
        control.options.forEach((option, i) => input.add(new Option(option, i, false, i === control.initial)));
      }
      input.setAttribute("aria-label", control.label);
      input.addEventListener("input", () => { state.at[at] = Number(input.value); draw(state); });
      box.append(label);
    });
  };

  const save = (name, text, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const table = (state) => {
    const rows = [["panel", "curve", "x", "y"]];
    const quote = (value) => `"${String(value).replaceAll('"', '""')}"`;
    state.view().forEach((panel, at) => panel.data.forEach((trace) => {
      const x = typeof trace.x === "string" ? state.figure.axes[trace.x] : trace.x;
      const name = trace.band ? `${trace.name} (band ${trace.fill ? "upper" : "lower"} edge)` : trace.name || "";
      const title = state.figure.panels[at] || state.figure.title;
      if (trace.z) trace.z.forEach((row, i) => rows.push([quote(title), quote(`row ${i}`), "", row.join(" ")]));
      else trace.y.forEach((y, i) => rows.push([quote(title), quote(trace.labels ? `${name}: ${trace.labels[i]}` : name), x[i], y ?? ""]));
    }));
    return rows.map((row) => row.join(",")).join("\n") + "\n";
  };

  const states = [...document.querySelectorAll("[data-figure]")].map((root) => {
    const figure = figures[root.dataset.figure];
    const state = { root, figure, at: figure.controls.map((control) => control.initial), hidden: new Set(), minus: false };
    const index = () => figure.controls.reduce((sum, control, at) => sum * control.options.length + state.at[at], 0);
    state.view = () => figure.views[index()];
    controls(state);
    draw(state);
    root.querySelector(".download").addEventListener("click", () => save(`${figure.id}.csv`, table(state), "text/csv"));
    return state;
  });
  dark.addEventListener("change", () => states.forEach(draw));

  const verdicts = document.getElementById("download-verdicts");
  if (verdicts) {
    verdicts.addEventListener("click", () => save("verdicts.json", JSON.stringify(read("verdict-rows"), null, 1), "application/json"));
  }

  const links = new Map([...document.querySelectorAll(".contents li a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link, id) => link.classList.toggle("here", id === entry.target.id));
    }
  }, { rootMargin: "-10% 0px -75% 0px" });
  links.forEach((_, id) => seen.observe(document.getElementById(id)));
  document.documentElement.dataset.ready = "true";
})();
