/** What is used of it; the package has no types. */
declare module "parquetjs-lite" {
  interface Cursor {
    next(): Promise<Record<string, unknown> | null>;
  }
  interface Reader {
    getRowCount(): number | bigint;
    getCursor(columns?: readonly string[]): Cursor;
    close(): Promise<void>;
  }
  const parquetjs: { readonly ParquetReader: { openFile(path: string): Promise<Reader> } };
  export default parquetjs;
}
