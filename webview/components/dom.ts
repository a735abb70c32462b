type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Creates an element. `text` is always text, never markup: names and metadata come from untrusted files.
 * An attribute that is false or undefined is omitted; true is set to the empty string.
 */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes & { readonly text?: string } = {},
  children: readonly (Node | string)[] = [],
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  applyAttributes(made, attributes);
  made.append(...children);
  return made;
}

/** Sets attributes in the same way as `element`. */
export function applyAttributes(target: HTMLElement, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') target.textContent = String(value ?? '');
    else if (value === true) target.setAttribute(name, '');
    else if (value !== false && value !== undefined) target.setAttribute(name, String(value));
  }
}

/** A list of labels and values. */
export function factList(rows: readonly { readonly label: string; readonly value: string; readonly id?: string }[]): HTMLElement {
  return element(
    'dl',
    { class: 'facts' },
    rows.flatMap(({ label, value, id }) => [element('dt', { text: label }), element('dd', { text: value, 'data-stat': id, title: value })]),
  );
}

/** Debounces a function: waits until calls pause, then runs the last one. */
export function debounce(milliseconds: number, run: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    if (timer !== undefined) clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
}
