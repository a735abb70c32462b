/** Checks of a verification by name. */
const checkNames: Readonly<Record<string, string>> = {
  bytes: 'Written weights decode to what was planned',
  values: 'Written weights have the planned errors',
  graph: 'The graph is well-formed',
  blocks: 'Each block stays close to the float model',
  'logits-disabled': 'Logits as planned, runtime without optimisation',
  'logits-exact': 'Logits as planned, exact kernels',
  'logits-default': "Logits as planned, the runtime's default kernels",
  'divergence-default': "Predictions as planned, the runtime's default kernels",
  identical: 'The file is the same as the source',
  'outputs-disabled': 'Outputs as planned, runtime without optimisation',
  'outputs-exact': 'Outputs as planned, exact kernels',
  'outputs-default': "Outputs as planned, the runtime's default kernels",
};

/** The check in words. With several output formats its name begins with the format's: `archive: bytes`. */
export function checkTitle(name: string): string {
  const [, format = '', check = name] = /^([\w-]+: )(.*)$/.exec(name) ?? [];
  return `${format}${checkNames[check] ?? check}`;
}
