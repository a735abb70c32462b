// Generates TypeScript from the ONNX protobuf schema next to its output.
// Usage: node scripts/generate-onnx-schema.mjs [new onnx-ml.proto]
// The schema comes from the Python package `onnx` (file onnx/onnx-ml.proto inside the wheel), Apache-2.0.
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'src/engine/formats/onnx/generated');
const given = process.argv[2];
if (given !== undefined) await copyFile(given, join(folder, 'onnx-ml.proto'));

const notice =
  '// SPDX-License-Identifier: Apache-2.0\n' +
  '// Generated from onnx-ml.proto (Copyright (c) ONNX Project Contributors) by scripts/generate-onnx-schema.mjs. Do not edit.\n';

const work = await mkdtemp(join(tmpdir(), 'onnx-schema-'));
try {
  await copyFile(join(folder, 'onnx-ml.proto'), join(work, 'onnx-ml.proto'));
  await writeFile(join(work, 'buf.yaml'), 'version: v2\n');
  await writeFile(
    join(work, 'buf.gen.yaml'),
    JSON.stringify({
      version: 'v2',
      plugins: [
        {
          local: ['node', join(root, 'node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es')],
          out: 'out',
          opt: ['target=ts'],
        },
      ],
    }),
  );
  const result = spawnSync(process.execPath, [join(root, 'node_modules/@bufbuild/buf/bin/buf'), 'generate'], {
    cwd: work,
    stdio: 'inherit',
  });
  if (result.status !== 0) throw new Error(`buf generate ended with ${result.status}`);
  const code = await readFile(join(work, 'out/onnx-ml_pb.ts'), 'utf8');
  await writeFile(join(folder, 'onnx.ts'), notice + code);
  console.log(`wrote ${join(folder, 'onnx.ts')}`);
} finally {
  await rm(work, { recursive: true, force: true });
}
