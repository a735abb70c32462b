/** Rises whenever a message or a field changes its meaning. Both sides of the handshake must name the same number. */
export const protocolVersion = 2;
