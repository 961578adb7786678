// A chart of no rows says so, in place of bare axes. It is drawn by vegaEmbed, which a later script brings.
let embed;
Object.defineProperty(window, "vegaEmbed", {
  set: (given) => (embed = given),
  get: () => (place, spec) => {
    if (spec.data.values.length) return embed(place, spec);
    place.append(Object.assign(document.createElement("p"), { className: "zero-results", textContent: "No such calls in this time" }));
  },
});
