// Click a heading to sort the table by it, again to turn the order; empty cells stay last.
document.querySelectorAll("table.sortable").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const keyOf = (row) => row.cells[heading.cellIndex].dataset.sort;
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const numbers = Number(a) - Number(b);
        const order = Number.isNaN(numbers) ? a.localeCompare(b) : numbers;
        return up ? order : -order;
      };
      body.append(...[...body.rows].sort((a, b) => compare(keyOf(a), keyOf(b))));
    });
  });
});
// The form above the tables: rows that do not fit are hidden, and a benchmark without any row left with them.
const form = document.getElementById("filters");
const filter = () => {
  const said = new FormData(form);
  const words = said.get("model").toLowerCase().split(/\s+/).filter(Boolean);
  const evaluators = said.getAll("evaluator");
  let shown = 0;
  document.querySelectorAll("section.benchmark").forEach((section) => {
    let left = 0;
    section.querySelectorAll("tbody tr").forEach((row) => {
      const { model, evaluator, conditions } = row.dataset;
      const published = row.classList.contains("published");
      const fits =
        words.every((word) => model.toLowerCase().includes(word)) &&
        (published ? said.has("published") && !said.has("alike") : evaluators.includes(evaluator)) &&
        (published || !said.has("alike") || conditions === "A");
      row.hidden = !fits;
      left += fits;
    });
    section.hidden = left === 0;
    shown += left;
  });
  document.getElementById("shown").textContent = `${shown} shown`;
};
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
filter();
