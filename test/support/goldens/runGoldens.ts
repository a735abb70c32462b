import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { diffqLsq, diffqQat, diffqUniform } from './diffqFixedWidths';
import { diffqQuantizer } from './diffqQuantizer';
import { diffqTorchPack } from './diffqTorchPack';
import { diffqTrainStep } from './diffqTrainStep';
import { GoldenCheck, readGolden, type GoldenRunner } from './golden';
import { gptq } from './gptq';
import { ortMatMulNBits } from './ortMatMulNBits';
import { magnitude, wanda } from './pruning';
import { rtn } from './rtn';
import { sparsegpt } from './sparsegpt';

/** What runs a golden, by the method it names. A new method that has goldens gets a line here. */
export const goldenRunners: Readonly<Record<string, GoldenRunner>> = {
  diffq_uniform: diffqUniform,
  diffq_diffq: diffqQuantizer,
  diffq_train_step: diffqTrainStep,
  diffq_qat: diffqQat,
  diffq_lsq: diffqLsq,
  diffq_torch_pack: diffqTorchPack,
  ort_matmulnbits: ortMatMulNBits,
  rtn,
  gptq,
  magnitude,
  wanda,
  sparsegpt,
};

/** How a folder of goldens came out. */
export interface GoldenCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Runs every JSON file of a folder and prints what failed and what was skipped. A folder without goldens counts as a failure. */
export async function runGoldens(folder: string, print: (line: string) => void): Promise<GoldenCounts> {
  let files: string[];
  try {
    files = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  } catch (error) {
    print(`FAILED ${folder} cannot be read: ${(error as Error).message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  if (files.length === 0) {
    print(`FAILED ${folder} holds no goldens (*.json)`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const problems = await problemsOf(join(folder, file));
    if (problems === undefined) {
      counts.skipped += 1;
      print(`skipped ${file}: the method is not built`);
    } else if (problems.length > 0) {
      counts.failed += 1;
      print(`FAILED ${file}: ${problems.join('; ')}`);
    } else counts.passed += 1;
  }
  return counts;
}

/** What disagrees in one file; undefined if nothing runs its method. */
async function problemsOf(path: string): Promise<readonly string[] | undefined> {
  try {
    const golden = await readGolden(path);
    const runner = Object.hasOwn(goldenRunners, golden.method) ? goldenRunners[golden.method] : undefined;
    if (!runner) return undefined;
    const check = new GoldenCheck(golden);
    await runner(golden, check);
    return check.finish();
  } catch (error) {
    return [(error as Error).message];
  }
}
