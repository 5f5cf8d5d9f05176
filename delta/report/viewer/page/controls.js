"use strict";
// The filters above a list. The address of the page can set each by its name: #benchmark=sums.

class Controls {
  /** `select(fields, items)` returns the items that pass the filters, in their order. */
  constructor(select, onChange) {
    this.form = document.getElementById("controls");
    this.fields = this.form.elements;
    this.select = select;
    // On a narrow screen the filters start closed, so that the list is visible.
    document.getElementById("more").open = matchMedia("(min-width: 48rem)").matches;
    this.form.addEventListener("input", () => onChange());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(onChange));
  }

  named() {
    return [...this.fields].filter((field) => field.name);
  }

  apply(items) {
    return this.select(this.fields, items);
  }

  /** Returns the address of the list with these filters. */
  address() {
    const words = new URLSearchParams();
    for (const field of this.named()) {
      if (valueOf(field) !== defaultOf(field)) words.set(field.name, valueOf(field));
    }
    return `#${words}`;
  }

  /** Sets the filters to those of an address; returns [name, value] of those that do not exist. */
  set(words) {
    const unknown = [];
    for (const field of this.named()) {
      const wanted = words.get(field.name) ?? defaultOf(field);
      if (field.type === "checkbox") field.checked = wanted === "yes";
      else if (field.options && ![...field.options].some(({ value }) => value === wanted)) {
        field.value = defaultOf(field);
        unknown.push([field.name, wanted]);
      } else field.value = wanted;
    }
    return unknown;
  }
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked ? "yes" : "";
  return field.value;
}

function defaultOf(field) {
  if (field.type === "checkbox") return field.defaultChecked ? "yes" : "";
  if (!field.options) return field.defaultValue;
  return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0])?.value ?? "";
}

const splitWords = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

/** Adds options [value, label]; the value `selected` is the one after a reset of the form. */
function fill(field, options, selected = null) {
  for (const [value, label] of options) {
    field.append(node("option", { value, selected: value === selected }, label));
  }
}

/** Returns each value of a column once, as options. */
function distinctOptions(items, name) {
  return [...new Set(items.map((item) => item[name]))].map((value) => [value, value]);
}
