import { LineCounter, isAlias, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Document, Node } from 'yaml';
import type { RecipeDiagnostic, RecipePosition } from '../../protocol/engine';

/** A range of the text: UTF-16 offsets, end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** One entry of a mapping. */
export interface RecipeEntry {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: RecipeNode;
}

/** A YAML value with its place: what is left of a document once anchors, tags and styles are gone. */
export type RecipeNode =
  | { readonly type: 'map'; readonly span: Span; readonly entries: readonly RecipeEntry[] }
  | { readonly type: 'list'; readonly span: Span; readonly items: readonly RecipeNode[] }
  | { readonly type: 'scalar'; readonly span: Span; readonly value: string | number | boolean | undefined };

/** The tree of a recipe and what was wrong with its YAML. */
export interface RecipeTree {
  /** Undefined if nothing usable is left. */
  readonly root: RecipeNode | undefined;
  readonly diagnostics: RecipeDiagnostic[];
  /** Turns offsets into lines and characters, as editors count. */
  readonly locate: (offset: number) => RecipePosition;
}

/** Recipes are a page long; the limits keep hostile files from taking time or memory. */
const longestText = 256 * 1024;
const deepestNesting = 16;
/** The parser calls itself for every level; beyond this many openers in a row it would run out of stack slowly. */
const deepestOpeners = 200;

/** Lines, and brackets, braces and commas: every value needs one of them, and the parser takes some 40 microseconds for each. */
const mostLines = 20_000;
const mostMarks = 20_000;

/** Reads YAML 1.2 with positions. Never throws: everything wrong becomes a diagnostic. */
export function parseRecipeTree(text: string): RecipeTree {
  const lines = new LineCounter();
  const locate = (offset: number): RecipePosition => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line: Math.max(0, line - 1), character: Math.max(0, col - 1) };
  };
  const diagnostics: RecipeDiagnostic[] = [];
  const report = (span: Span, message: string) =>
    diagnostics.push({ start: locate(span.start), end: locate(Math.max(span.end, span.start)), severity: 'error', message });
  const refuse = (message: string): RecipeTree => {
    diagnostics.push({ start: { line: 0, character: 0 }, end: { line: 0, character: 0 }, severity: 'error', message });
    return { root: undefined, diagnostics, locate };
  };
  if (text.length > longestText)
    return refuse(`A recipe can have at most ${longestText / 1024} KiB of text, but this one has ${Math.ceil(text.length / 1024)}.`);
  if (isNestedTooDeeply(text))
    return refuse(`The file is nested more than ${deepestOpeners} levels deep. A recipe needs at most ${deepestNesting}.`);
  const busy = tooManyValues(text);
  if (busy !== undefined) return refuse(busy);
  let documents: readonly Document[];
  try {
    // Uniqueness of keys is checked here: the library compares every pair, which takes minutes on a hostile file.
    const parsed = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, logLevel: 'silent' });
    documents = Array.isArray(parsed) ? (parsed as Document[]) : [];
  } catch (error) {
    return refuse(`The file cannot be read as YAML: ${error instanceof Error ? error.message : String(error)}.`);
  }
  const [first, second] = documents;
  if (!first) return refuse('The recipe is empty. It needs at least the key steps.');
  for (const { pos, message } of [...first.errors, ...first.warnings].slice(0, 20))
    report({ start: pos[0], end: pos[1] }, `${message}.`.replace(/\.\.$/, '.'));
  if (second)
    report(spanOf(second.contents as Node | null, text.length), 'A recipe is one YAML document; remove what follows the first ---.');
  const root = convert(first.contents as Node | null, { report, depth: 0, end: text.length });
  return { root: first.contents === null ? undefined : root, diagnostics, locate };
}

interface Conversion {
  readonly report: (span: Span, message: string) => unknown;
  readonly depth: number;
  /** End of the text, for nodes that are not there. */
  readonly end: number;
}

function spanOf(node: Node | null | undefined, end: number): Span {
  const range = node?.range;
  return range ? { start: range[0], end: range[1] } : { start: end, end };
}

function convert(node: Node | null | undefined, conversion: Conversion, fallback?: Span): RecipeNode {
  const span = node ? spanOf(node, conversion.end) : (fallback ?? spanOf(node, conversion.end));
  const empty: RecipeNode = { type: 'scalar', span, value: undefined };
  if (!node) return empty;
  if (conversion.depth > deepestNesting) {
    conversion.report(span, `Nested too deeply: a recipe has at most ${deepestNesting} levels.`);
    return empty;
  }
  const inner = { ...conversion, depth: conversion.depth + 1 };
  if (isAlias(node)) {
    conversion.report(span, 'Aliases (*name) are not supported in recipes. Write the value out, or name it under inputs.');
    return empty;
  }
  if (isSeq(node)) return { type: 'list', span, items: node.items.map((item) => convert(item as Node | null, inner)) };
  if (isMap(node)) {
    const entries: RecipeEntry[] = [];
    const seen = new Set<string>();
    for (const { key, value } of node.items) {
      const keySpan = spanOf(key as Node | null, span.start);
      if (!isScalar(key) || typeof key.value !== 'string') {
        conversion.report(keySpan, 'A key must be a word.');
        continue;
      }
      if (seen.has(key.value)) conversion.report(keySpan, `The key '${key.value}' appears twice. Remove one.`);
      else entries.push({ key: key.value, keySpan, value: convert(value as Node | null, inner, keySpan) });
      seen.add(key.value);
    }
    return { type: 'map', span, entries };
  }
  const value = isScalar(node) ? node.value : undefined;
  const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
  return { type: 'scalar', span, value: plain };
}

/** True if brackets or block markers open more levels than any recipe has. Counts brackets in text too, which is harmless. */
function isNestedTooDeeply(text: string): boolean {
  let open = 0;
  for (const character of text) {
    if (character === '[' || character === '{') open += 1;
    else if (character === ']' || character === '}') open -= open > 0 ? 1 : 0;
    if (open > deepestOpeners) return true;
  }
  const markers = new RegExp(`(?:[-?:][ \\t]+){${deepestOpeners}}`);
  if (markers.test(text)) return true;
  // A block level costs at least one more space than the one above it.
  return new RegExp(`^ {${deepestOpeners}}`, 'm').test(text);
}

/** Why a text has more values than any recipe; undefined if it has not. Counts marks in quoted text too, of which a recipe has few. */
function tooManyValues(text: string): string | undefined {
  let lines = 1;
  let marks = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x0a) lines += 1;
    else if (code === 0x2c || code === 0x5b || code === 0x7b) marks += 1;
  }
  if (lines > mostLines) return `A recipe can have at most ${mostLines} lines, but this one has ${lines}.`;
  return marks > mostMarks ? `A recipe can have at most ${mostMarks} commas and opening brackets, but this one has ${marks}.` : undefined;
}
