"use strict";
// Tables sort by a click on a heading; figures show the value under the pointer.

function sortValue(row, index) {
  const cell = row.cells[index];
  const value = cell.dataset.value ?? cell.textContent.trim();
  if (value === "") return null;
  if (value === "inf") return Infinity;
  const number = Number(value);
  return Number.isNaN(number) ? value : number;
}

function compareRows(first, second, index, sign) {
  const a = sortValue(first, index);
  const b = sortValue(second, index);
  // Missing values stay below, whichever way the column is sorted.
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b));
}

function sortBy(heading) {
  const table = heading.closest("table");
  const index = heading.cellIndex;
  const descending = heading.getAttribute("aria-sort") !== "descending";
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  rows.sort((a, b) => compareRows(a, b, index, descending ? -1 : 1));
  body.append(...rows);
}

for (const heading of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  button.addEventListener("click", () => sortBy(heading));
  heading.append(button);
}

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

const REACH = 14;

// A finger or a pointer near a point counts as on it.
function nearestPoint(event) {
  const svg = event.target.closest("figure svg");
  if (!svg) return null;
  const direct = event.target.closest("[data-tip]");
  if (direct) return direct;
  let nearest = null;
  let least = REACH;
  for (const point of svg.querySelectorAll("[data-tip]")) {
    const box = point.getBoundingClientRect();
    const x = event.clientX - (box.left + box.right) / 2;
    const y = event.clientY - (box.top + box.bottom) / 2;
    const distance = Math.hypot(x, y);
    if (distance < least) {
      least = distance;
      nearest = point;
    }
  }
  return nearest;
}

function showTip(event) {
  const point = nearestPoint(event);
  tip.hidden = point === null;
  if (point === null) return;
  tip.textContent = point.dataset.tip;
  const left = Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8);
  const above = event.clientY - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above < 8 ? event.clientY + 16 : above}px`;
}

document.addEventListener("pointermove", showTip);
document.addEventListener("pointerdown", showTip);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tip.hidden = true;
});
