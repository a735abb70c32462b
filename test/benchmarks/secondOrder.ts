// Factoring a Gram matrix and sweeping over the columns of a square layer, by the loop on one thread and with products by the runtime: seconds and multiply-adds a second.
// Usage: npm run bench secondOrder -- [SIZE...]
import { RuntimeProducts } from '../../src/engine/compress/planning/runtimeProducts';
import { inverseFactor } from '../../src/engine/kernels/host/secondOrder/inverseFactor';
import { hostProducts, type Products } from '../../src/engine/kernels/host/secondOrder/subtractProduct';
import { sweepColumns } from '../../src/engine/kernels/host/secondOrder/sweepColumns';
import { createRuntime } from '../../src/engine/runtime/runtime';

/** Neighbouring inputs depend on each other. */
function gram(size: number): Float64Array {
  const values = new Float64Array(size * size);
  for (let row = 0; row < size; row += 1)
    for (let column = 0; column < size; column += 1)
      values[row * size + column] = Math.exp(-Math.abs(row - column) / 9) + (row === column ? 0.05 : 0);
  return values;
}

async function measure(size: number, products: Products): Promise<Readonly<Record<string, number>>> {
  const factor = gram(size);
  let start = performance.now();
  await inverseFactor(factor, size, products);
  const factoring = (performance.now() - start) / 1000;
  const weights = Float64Array.from({ length: size * size }, (_, index) => Math.sin(index * 0.7) * 0.05);
  start = performance.now();
  await sweepColumns({
    rows: size,
    columns: size,
    weights,
    factor,
    blockSize: 128,
    products,
    replace: (_row, _column, value) => Math.round(value * 100) / 100,
  });
  const sweeping = (performance.now() - start) / 1000;
  return {
    factorSeconds: factoring,
    factorGigaProducts: size ** 3 / 3 / factoring / 1e9,
    sweepSeconds: sweeping,
    sweepGigaProducts: size ** 3 / 2 / sweeping / 1e9,
  };
}

async function main(): Promise<void> {
  const sizes = process.argv.slice(2).map(Number);
  const runtime = await createRuntime({ provider: 'cpu' });
  const own = new RuntimeProducts(runtime);
  for (const size of sizes.length > 0 ? sizes : [256, 688, 1024, 2048]) {
    // Compiles the loops.
    await measure(256, hostProducts);
    await measure(256, own);
    console.log(JSON.stringify({ size, loop: await measure(size, hostProducts), runtime: await measure(size, own) }));
  }
  await own.release();
  await runtime.dispose();
}

void main();
