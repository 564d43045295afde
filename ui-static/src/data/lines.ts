// Splits a byte stream into lines of text. What follows the last line break stays until more arrives.
const kLongest = 8 << 20;

export class LineSplitter {
  private readonly decoder = new TextDecoder();
  private rest = '';

  push(chunk: Uint8Array): string[] {
    const text = this.rest + this.decoder.decode(chunk, { stream: true });
    const lines = text.split('\n');
    this.rest = lines.pop() ?? '';
    if (this.rest.length > kLongest) throw new Error('a line without an end');
    return lines;
  }

  // The unfinished last line, once the stream has ended.
  end(): string {
    const last = this.rest + this.decoder.decode();
    this.rest = '';
    return last;
  }
}
