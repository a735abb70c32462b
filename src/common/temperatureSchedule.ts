/** Temperatures of a sequence: `first` moves in equal steps to `last` over `length` tokens of every document, and stays there. */
export interface TemperatureSchedule {
  readonly first: number;
  readonly last: number;
  readonly length: number;
}

/** A constant temperature. */
export function constantTemperature(temperature: number): TemperatureSchedule {
  return { first: temperature, last: temperature, length: 0 };
}

/** Temperatures above this give nothing but random tokens. */
const highest = 100;

/** What `parseTemperatures` takes, for messages and help. */
export const temperatureForms = 'T or T0:T1:STEPS, or several of them with commas between';

/**
 * `1`, `2:1:32` (from 2 to 1 over 32 tokens), or several, which sequences take in turn: `0.7,1,2:1:32`. Undefined for other texts, and for temperatures that are not above 0 and at most 100.
 */
export function parseTemperatures(text: string): readonly TemperatureSchedule[] | undefined {
  const schedules = text.split(',').map(parseOne);
  return schedules.every((schedule) => schedule !== undefined) ? schedules : undefined;
}

function parseOne(text: string): TemperatureSchedule | undefined {
  const parts = text.split(':').map((part) => part.trim());
  if (parts.some((part) => part === '')) return undefined;
  const [first = NaN, last = first, length = 0] = parts.map(Number);
  const sound = (parts.length === 1 || parts.length === 3) && [first, last].every((value) => value > 0 && value <= highest);
  return sound && Number.isSafeInteger(length) && length >= 0 ? { first, last, length } : undefined;
}

/** As `parseTemperatures` reads it. */
export function formatTemperature({ first, last, length }: TemperatureSchedule): string {
  return length === 0 ? String(last) : `${first}:${last}:${length}`;
}
