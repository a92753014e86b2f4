/* Numbers and letters in a file's bytes; what lies beyond its end throws a RangeError. */

export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function lettersAt(bytes, start, end) {
  return String.fromCharCode(...bytes.subarray(start, end));
}
