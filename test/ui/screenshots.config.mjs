import { mergeConfig } from 'vitest/config';
import tests from './vitest.config.mjs';

/** Takes the pictures of the documentation with the means of the UI tests. */
export default mergeConfig({ ...tests, test: { ...tests.test, include: [] } }, { test: { include: ['test/ui/screenshots.ts'] } });
