import manifest from '../../package.json';

/** Version of Loomweight, as reports and the handshake name it. */
export const version: string = manifest.version;
