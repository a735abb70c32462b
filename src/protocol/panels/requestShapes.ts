/** Tells whether an unknown value has a shape. Built from the functions of this file. */
export type Shape<T> = (value: unknown) => value is T;

/** One shape for each request of a page: what its value must be before it is used. A page is not trusted. */
export type RequestShapes<Requests> = {
  readonly [Method in keyof Requests]: Requests[Method] extends (value: infer Value) => Promise<unknown> ? Shape<Value> : Shape<undefined>;
};

/** No value. */
export const nothing: Shape<undefined> = (value): value is undefined => value === undefined;

/** A string of at most `most` characters. */
export const text =
  (most: number): Shape<string> =>
  (value): value is string =>
    typeof value === 'string' && value.length <= most;

/** A finite number from `least` to `most`. */
export const numberIn =
  (least: number, most: number): Shape<number> =>
  (value): value is number =>
    typeof value === 'number' && value >= least && value <= most;

/** A whole number from `least` to `most`. */
export const wholeNumberIn =
  (least: number, most: number): Shape<number> =>
  (value): value is number =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

/** One of some words. */
export const oneOf =
  <const Word extends string>(words: readonly Word[]): Shape<Word> =>
  (value): value is Word =>
    typeof value === 'string' && (words as readonly string[]).includes(value);

/** Members of an object; an optional one may be absent. */
type Members = Readonly<Record<string, { readonly shape: Shape<unknown>; readonly optional: boolean }>>;
/** The object with these members. */
type ObjectOf<Known extends Members> = {
  readonly [Key in keyof Known as Known[Key]['optional'] extends true ? never : Key]: Known[Key]['shape'] extends Shape<infer T>
    ? T
    : never;
} & {
  readonly [Key in keyof Known as Known[Key]['optional'] extends true ? Key : never]?: Known[Key]['shape'] extends Shape<infer T>
    ? T
    : never;
};

/** A member that must be there. */
export const required = <T>(shape: Shape<T>) => ({ shape, optional: false as const });
/** A member that may be absent. */
export const optional = <T>(shape: Shape<T>) => ({ shape, optional: true as const });

/** A plain object with these members and no others. */
export const objectOf =
  <const Known extends Members>(members: Known): Shape<ObjectOf<Known>> =>
  (value): value is ObjectOf<Known> => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    if (!Object.keys(value).every((key) => Object.hasOwn(members, key))) return false;
    return Object.entries(members).every(([key, { shape, optional: mayLack }]) =>
      Object.hasOwn(value, key)
        ? shape((value as Record<string, unknown>)[key]) || (mayLack && (value as Record<string, unknown>)[key] === undefined)
        : mayLack,
    );
  };

/** A plain object of at most `most` entries whose values have a shape. */
export const recordOf =
  <T>(shape: Shape<T>, most: number): Shape<Readonly<Record<string, T>>> =>
  (value): value is Readonly<Record<string, T>> => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const entries = Object.entries(value);
    return entries.length <= most && entries.every(([, entry]) => shape(entry));
  };
