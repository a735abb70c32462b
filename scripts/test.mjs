// `npm test`: set-up, build, type check, lint, all tests, the package, the tests in a real VS Code.
// `npm run test:fast` (--fast): the same without package and VS Code; needs neither root nor a browser.
// The last line is always "N passed, N failed", summed over all suites; type check, lint and the like count as one check each.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError, ensurePackages, ensureTracer, ensureUiTools, root } from './setup.mjs';

const fast = process.argv.includes('--fast');
const results = [];

/** Runs one suite and notes its counts; an exception counts as one failure with its message. */
function suite(name, body) {
  console.log(`\n== ${name}`);
  const started = Date.now();
  let counts;
  try {
    counts = body();
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    counts = { passed: 0, failed: 1, note: error.message };
  }
  results.push({ name, seconds: (Date.now() - started) / 1000, ...counts });
  return counts.failed === 0;
}

/** A script that passes or fails as a whole. */
function check(script, args = []) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1, note: `${script} ended with exit code ${status}` };
}

/**
 * A run of vitest, counted from its JSON report: a test file that cannot even be loaded counts as one failure, an error outside
 * any test (exit code without a failed test) as well, and a test that did not run is a failure, as there are no skipped tests.
 */
function vitest(folders, args = []) {
  const report = join(root, 'test-results', `${folders[0].replaceAll('/', '-')}.json`);
  rmSync(report, { force: true });
  const options = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, '--passWithNoTests', ...args];
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), ...options, ...folders], {
    cwd: root,
    stdio: 'inherit',
  });
  const document = JSON.parse(readFileSync(report, 'utf8'));
  const broken = document.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  const passed = document.numPassedTests;
  const failed = document.numTotalTests - passed + broken;
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed };
}

function summary() {
  const width = Math.max(...results.map((result) => result.name.length));
  console.log('\n== summary');
  for (const { name, passed, failed, seconds, note } of results) {
    const counts = `${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed ${seconds.toFixed(0).padStart(5)} s`;
    console.log(`${failed > 0 ? 'x' : ' '} ${name.padEnd(width)} ${counts}${note ? `   ${note.split('\n')[0]}` : ''}`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

mkdirSync(join(root, 'test-results'), { recursive: true });
const ready = suite('set-up', () => {
  ensurePackages();
  return { passed: 0, failed: 0 };
});
if (ready) {
  suite('type check', () => check('scripts/typecheck.mjs'));
  suite('lint', () => check('node_modules/eslint/bin/eslint.js', ['.']));
  suite('format', () => check('node_modules/prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']));
  // The package is made first, so that every test below runs on what ships.
  const built = fast ? suite('build', () => check('scripts/build.mjs')) : suite('package', () => check('scripts/package.mjs'));
  suite('unit tests', () => vitest(['test/unit']));
  if (!fast)
    suite('strace', () => {
      ensureTracer();
      return { passed: 1, failed: 0 };
    });
  suite('engine tests', () => vitest(['test/engine']));
  suite('inputs from use and attack', () => vitest(['test/cases']));
  suite('webview tests', () => vitest(['test/webview']));
  if (!fast && built) {
    suite('package tests', () => vitest(['test/package']));
    suite('tests in VS Code', () => {
      ensureUiTools();
      return vitest(['test/ui'], ['--config', 'test/ui/vitest.config.mjs']);
    });
  }
}
summary();
