import { runGoldens } from './runGoldens';

const { passed, failed, skipped } = await runGoldens(process.argv[2] ?? '', (line) => console.log(line));
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
// A folder of which nothing could be run proves nothing.
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
