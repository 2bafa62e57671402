import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { html, scriptJson } from "../../src/report/html.ts";

describe("html", () => {
  it("leaves no markup of a value", () => {
    expect(html`<b title="${'"><script>'}">${["<i>", "a & b", html`<u>${"'"}</u>`]}</b>`.text).toBe(
      '<b title="&quot;&gt;&lt;script&gt;">&lt;i&gt;a &amp; b<u>&#39;</u></b>',
    );
  });

  it("leaves nothing of what is not there", () => {
    expect(html`a${null}${undefined}${false}${0}b`.text).toBe("a0b");
  });

  it("shows what would turn a line around", () => {
    expect(html`${"a\u202eb\u0000c\u001b[31m"}`.text).toBe("a\ufffdb\ufffdc\ufffd[31m");
  });
});

describe("JSON in a script element", () => {
  it("can't end it, and reads back", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom("</script>", "<!--", "]]>", "\u2028", "&lt;"))), (value) => {
        const { text } = scriptJson(value);
        expect(text).not.toMatch(/[<>&\u2028\u2029]/);
         
        expect(JSON.parse(text)).toEqual(value.map((item) => item.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd")));
      }),
    );
  });
});
