"use strict";
(() => {
  const tiles = document.getElementById("tiles");
  const filter = document.getElementById("filter");
  const entries = [...document.querySelectorAll("#legend li")];
  const ABSENT = "9";

  function chosen() {
    const values = {};
    for (const select of filter.querySelectorAll("select")) values[select.name] = select.value;
    return values;
  }

  // Which characters of a tile's states belong to the chosen product and year.
  function places({ product = "", year = "" }) {
    return tiles.dataset.combinations.split(" ").flatMap((combination, at) => {
      const [its_year, its_product] = combination.split("-");
      return (!product || product === its_product) && (!year || year === its_year) ? [at] : [];
    });
  }

  function tell(counts) {
    entries.forEach((entry, rank) => {
      entry.querySelector("b").textContent = counts[rank].toLocaleString("en");
      entry.hidden = counts[rank] === 0;
    });
  }

  function color_rectangles(wanted) {
    const names = entries.map((entry) => entry.dataset.state);
    const counts = names.map(() => 0);
    const at = places(wanted);
    let shown = 0;
    const failed = [];
    for (const tile of tiles.querySelectorAll("rect")) {
      let worst = ABSENT;
      for (const place of at) if (tile.dataset.s[place] < worst) worst = tile.dataset.s[place];
      const visible = worst !== ABSENT && (!wanted.state || names[worst] === wanted.state);
      if (worst !== ABSENT) counts[worst] += 1;
      tile.setAttribute("class", worst === ABSENT ? "hidden" : visible ? `s${worst}` : "dim");
      if (visible) shown += 1;
      if (visible && (worst === "0" || wanted.state)) failed.push(tile);
    }
    for (const tile of failed) tile.parentNode.append(tile);
    tell(counts);
    return shown;
  }

  function choose_picture({ product = "", year = "" }) {
    const pictures = [...tiles.querySelectorAll("image")];
    for (const picture of pictures) {
      const wanted = picture.dataset.product === product && picture.dataset.year === year;
      picture.classList.toggle("hidden", !wanted);
      if (wanted) tell(picture.dataset.counts.split(" ").map(Number));
    }
  }

  function apply() {
    const wanted = chosen();
    if (tiles.querySelector("image")) {
      choose_picture(wanted);
    } else {
      const shown = color_rectangles(wanted);
      document.getElementById("shown").textContent = `${shown.toLocaleString("en")} tiles`;
      tiles.dataset.shown = shown;
    }
    const words = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString();
    document.documentElement.dataset.filter = words;
    return words;
  }

  function read_address() {
    const words = new URLSearchParams(location.hash.slice(1));
    for (const select of filter.querySelectorAll("select")) {
      const value = words.get(select.name) ?? "";
      select.value = [...select.options].some((option) => option.value === value) ? value : "";
    }
    apply();
  }

  if (tiles && filter) {
    filter.hidden = false;
    filter.addEventListener("submit", (event) => event.preventDefault());
    filter.addEventListener("change", () => history.replaceState(null, "", `#${apply()}`));
    addEventListener("hashchange", read_address);
    read_address();
  }

  function select_text(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    const code = button.parentNode.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", () => {
      select_text(code); // where copying is not allowed, the text is ready to be copied by hand
      const told = (word) => {
        button.textContent = word;
      };
      if (document.execCommand("copy")) told("Copied");
      else if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(() => told("Copied"), () => told("Selected"));
      else told("Selected");
    });
  }
})();
