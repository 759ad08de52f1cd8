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
