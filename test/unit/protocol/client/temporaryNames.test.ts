import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { folderWriter, temporaryFolderName, temporaryName, temporaryWriter } from '../../../../src/protocol/client/temporaryNames';

test('temporary names identify target, writer and machine', () => {
  const name = temporaryName('a.b', '0f');
  expect(temporaryWriter(name)).toEqual({ target: 'a.b', pid: process.pid, isThisMachine: true });
  expect(temporaryWriter('.a.b.loomweight-elsewhere-12-0f.tmp')).toMatchObject({ isThisMachine: hostname() === 'elsewhere' });
  expect(temporaryWriter('out')).toBeUndefined();
});

test('a process of another PID namespace of the same host name is of another machine', () => {
  const [output, folder] = [temporaryName('out', '0f'), temporaryFolderName('verify', '0f')];
  const namespace = process.platform === 'linux' ? `-n${/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]}` : '';
  for (const name of [output, folder]) expect(name).toContain(`${namespace}-${process.pid}-`);
  expect(folderWriter(folder)).toEqual({ pid: process.pid, isThisMachine: true });
  const elsewhere = (name: string) => name.replace(/-(n\d+-)?(\d+)-0f/, '-n17-$2-0f');
  expect(temporaryWriter(elsewhere(output))).toEqual({ target: 'out', pid: process.pid, isThisMachine: false });
  expect(folderWriter(elsewhere(folder))).toEqual({ pid: process.pid, isThisMachine: false });
});

test('names of earlier versions, without a namespace, are read', () => {
  const earlier = (name: string) => name.replace(/-n\d+-/, '-');
  expect(temporaryWriter(earlier(temporaryName('a.b', '0f')))).toEqual({ target: 'a.b', pid: process.pid, isThisMachine: true });
  expect(folderWriter(earlier(temporaryFolderName('verify', '0f')))).toEqual({ pid: process.pid, isThisMachine: true });
});
