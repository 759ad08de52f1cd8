// Drag along an axis to keep the runs that pass there, click it to let go; the others fade, here and in the table.
document.querySelectorAll("svg.parallel").forEach((figure) => {
  const threads = [...figure.querySelectorAll("[data-run]")];
  const rows = new Map([...document.querySelectorAll("tr[data-run]")].map((row) => [row.dataset.run, row]));
  const said = figure.closest("section").querySelector("output");
  const kept = new Map(); // number of an axis → [top, bottom]
  const show = () => {
    let count = 0;
    threads.forEach((thread) => {
      const places = thread.dataset.places.split(" ").map(Number);
      const stays = [...kept].every(([axis, [top, bottom]]) => places[axis] >= top && places[axis] <= bottom);
      count += stays;
      thread.classList.toggle("off", !stays);
      rows.get(thread.dataset.run)?.classList.toggle("off", !stays);
    });
    said.value = kept.size ? `${count} of ${threads.length} runs` : "";
  };
  figure.querySelectorAll("g.axis").forEach((axis, number) => {
    const brush = axis.querySelector(".brush");
    const hit = axis.querySelector(".hit");
    const [first, last] = [hit.y.baseVal.value, hit.y.baseVal.value + hit.height.baseVal.value];
    const placeOf = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.getScreenCTM().inverse());
      return Math.min(last, Math.max(first, point.y));
    };
    hit.addEventListener("pointerdown", (down) => {
      const start = placeOf(down);
      const move = (event) => {
        const [top, bottom] = [start, placeOf(event)].sort((a, b) => a - b);
        if (bottom - top < 4) kept.delete(number);
        else kept.set(number, [top, bottom]);
        brush.setAttribute("y", top);
        brush.setAttribute("height", kept.has(number) ? bottom - top : 0);
        show();
      };
      const end = () => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", end);
        removeEventListener("pointercancel", end);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end);
      addEventListener("pointercancel", end);
      down.preventDefault();
      move(down);
    });
  });
});
