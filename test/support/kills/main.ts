import { killMany } from './killMany';

const [script, samples, count, seed] = process.argv.slice(2);
const counts = await killMany(script ?? '', samples ?? '', Number(count), { seed: Number(seed), told: (line) => console.log(line) });
for (const { name, kills, finished, leftOver } of counts) console.log(`| ${name} | ${kills} | ${finished} | ${leftOver.length} |`);
const sum = (of: (each: (typeof counts)[number]) => number): number => counts.reduce((total, each) => total + of(each), 0);
console.log(`${sum(({ kills }) => kills)} kills, ${sum(({ leftOver }) => leftOver.length)} left over`);
process.exitCode = sum(({ leftOver }) => leftOver.length) > 0 ? 1 : 0;
