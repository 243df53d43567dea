// A click on the head of a sortable table sorts it by that column; another click turns the order round.
for (const head of document.querySelectorAll("table.sortable th")) {
  const sort = () => {
    const table = head.closest("table");
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const isNumber = head.classList.contains("number");
    const value = (row) => {
      const text = row.cells[head.cellIndex].textContent;
      return isNumber ? parseFloat(text.replaceAll(",", "")) : text;
    };
    const sign = order === "ascending" ? 1 : -1;
    const compare = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (!isNumber) return sign * a.localeCompare(b, undefined, { numeric: true });
      return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) || 0;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  };
  head.tabIndex = 0;
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
