"use strict";

const root = document.documentElement;
const button = document.getElementById("theme");
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
}

function applyTheme() {
  root.style.colorScheme = root.dataset.theme || "light dark";
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", isDark() ? "Switch to the light page" : "Switch to the dark page");
}

button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  applyTheme();
});
prefersDark.addEventListener("change", applyTheme);

function compare(a, b) {
  const x = Number(a), y = Number(b);
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}

// what is unknown stays last, whichever way is sorted
function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.sort;
  const rows = [...body.rows].sort((a, b) => {
    if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
    return (descending ? -1 : 1) * compare(key(a), key(b));
  });
  body.append(...rows);
  for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
    if (place === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

for (const head of document.querySelectorAll("thead th")) {
  head.querySelector("button").addEventListener("click", () => {
    sortTable(head.closest("table"), head.cellIndex, head.getAttribute("aria-sort") === "ascending");
  });
}

// #sort=table-2:3:desc shows a table sorted by its third column, #theme=dark the dark page: links to a view
function applyFragment() {
  const theme = /(?:^#|&)theme=(light|dark)(?:&|$)/.exec(location.hash);
  if (theme) root.dataset.theme = theme[1];
  const sort = /(?:^#|&)sort=([\w-]+):(\d+)(?::(asc|desc))?(?:&|$)/.exec(location.hash);
  const block = sort && document.getElementById(sort[1]);
  const table = block && block.querySelector("table");
  if (table && table.tHead.rows[0].cells[sort[2] - 1]) {
    sortTable(table, sort[2] - 1, sort[3] === "desc");
    block.scrollIntoView();
  }
  applyTheme();
}

window.addEventListener("hashchange", applyFragment);
applyFragment();
