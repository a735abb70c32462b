/** Seed of every property test: each run tries the same cases, and a failure prints the seed with the path to the smallest counterexample. */
export const propertySeed = 20_260_101;
