import { describe, expect, it } from "vitest";
import { chairCounts, ChairTally } from "../../src/metrics/chair.ts";
import { ObjectTable, singulars } from "../../src/metrics/object-table.ts";

const table = ObjectTable.parse(`# objects
person, man, woman, fire fighter
dog, puppy
hot dog, frankfurter
mouse
knife
traffic light, stop light   # two words
`);

describe("the table of objects", () => {
  it.each([
    ["A man and two women", ["person", "person"]],
    ["Puppies eat hot dogs.", ["dog", "hot dog"]],
    ["a hot-dog, a dog's bowl", ["hot dog", "dog"]],
    ["mice with knives under traffic lights", ["mouse", "knife", "traffic light"]],
    ["A fire fighter's fire", ["person"]],
    ["dogma, mousse", []],
    ["", []],
  ])("finds in %j %j", (text, objects) => {
    expect(table.mentions(text)).toEqual(objects);
  });

  it("knows names as a whole", () => {
    expect(table.objectOf("Stop Lights")).toBe("traffic light");
    expect(table.objectOf("dog house")).toBeUndefined();
  });

  it("refuses one name for two objects, with the line", () => {
    expect(() => ObjectTable.parse("cat\ndog, cat")).toThrow('line 2: "cat" stands for dog here and for cat before');
    expect(() => ObjectTable.parse("# nothing\n")).toThrow("names no object");
  });

  it("guesses singulars", () => {
    expect(singulars("boxes")).toContain("box");
    expect(singulars("berries")).toContain("berry");
    expect(singulars("firemen")).toContain("fireman");
    expect(singulars("glass")).toEqual(["glass"]);
  });
});

describe("counts of a caption", () => {
  it("count every mention, and what was found once", () => {
    expect(chairCounts(["dog", "dog", "person", "knife"], new Set(["dog", "mouse"]))).toEqual({ num_mentions: 4, num_hallucinated: 2, num_found: 1 });
  });
});

describe("CHAIR", () => {
  it("is hallucinated mentions over mentions, and captions over captions", () => {
    const tally = new ChairTally(table);
    // 1 of 3 mentions, 0 of 1, 1 of 2, none: 2 of 6; 2 of 4 captions.
    expect(tally.add({ response: "A dog, a puppy and a knife.", objects: ["dog"], group: "a" })).toBeUndefined();
    expect(tally.add({ response: "A man.", objects: ["woman", "dog"], group: "a" })).toBeUndefined();
    expect(tally.add({ response: "A mouse by a traffic light.", objects: [], references: ["one mouse"] })).toBeUndefined();
    expect(tally.add({ response: "Nothing.", objects: "dog" })).toBeUndefined();
    const { groups } = tally.result();
    expect(groups.map(({ name, num_rows }) => [name, num_rows])).toEqual([["a", 2], ["all", 4]]);
    const { chair_i, chair_s, recall, mentions } = groups[1]!.measures;
    expect(chair_i!.value).toBeCloseTo(2 / 6, 12);
    expect(chair_s!.value).toBe(0.5);
    // Present: dog | person, dog | mouse | dog; found: dog | person | mouse | none.
    expect(recall!.value).toBeCloseTo(3 / 5, 12);
    expect(mentions!.value).toBe(1.5);
  });

  it.each([
    [{ response: "x" }, "no column objects"],
    [{ response: "x", objects: [1] }, "objects is not a list of texts"],
    [{ response: "x", objects: ["zebra"] }, 'the object "zebra" is not in the table of synonyms'],
    [{ response: "x", objects: [], references: 3 }, "references is not a list of texts"],
  ])("%j: %s", (row, problem) => {
    expect(new ChairTally(table).add(row)).toBe(problem);
  });
});
