import { printableLines } from '../../src/common/shown';

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * Creates an element. `text` is always text, never markup, and what people read of it has no characters that hide or turn it: names and
 * metadata come from untrusted files.
 * An attribute that is false or undefined is omitted; true is set to the empty string.
 */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes & { readonly text?: string } = {},
  children: readonly (Node | string)[] = [],
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  applyAttributes(made, attributes);
  made.append(...children.map((child) => (typeof child === 'string' ? printableLines(child) : child)));
  return made;
}

/** Sets attributes in the same way as `element`. */
export function applyAttributes(target: HTMLElement, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') setText(target, String(value ?? ''));
    else if (value === true) target.setAttribute(name, '');
    else if (value !== false && value !== undefined)
      target.setAttribute(name, readByPeople.has(name) ? printableLines(String(value)) : String(value));
  }
}

/** Attributes that are shown or spoken. */
const readByPeople: ReadonlySet<string> = new Set(['title', 'aria-label', 'alt', 'placeholder', 'label', 'summary']);

/** Replaces the text of an element. */
export function setText(target: Element, text: string): void {
  target.textContent = printableLines(text);
}

/** Sets what a screen reader says of an element. */
export function setSpoken(target: Element, text: string): void {
  target.setAttribute('aria-label', printableLines(text));
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
