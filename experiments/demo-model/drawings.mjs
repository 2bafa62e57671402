/**
 * Renders the named drawings of npm `fluentui-emoji` (flat style, MIT) into one PNG atlas.
 *
 *   npm pack fluentui-emoji@1.3.0 && tar xzf fluentui-emoji-1.3.0.tgz
 *   node drawings.mjs package/icons/flat
 *
 * One row per size in SIZES, one TILE x TILE tile per line of classes.txt, each drawing centred in
 * its tile with a transparent border. Needs `sharp` (the project's own dependency).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'

const TILE = 24 // px
const SIZES = [19, 21, 23] // px, the drawing's longer side
const DENSITY = 288 // dpi at which the SVG is rasterised before it is reduced

const icons = process.argv[2]
if (!icons) throw new Error('usage: node drawings.mjs FOLDER_OF_FLAT_SVGS')
const here = new URL('.', import.meta.url).pathname
const names = readFileSync(join(here, 'classes.txt'), 'utf8').trim().split('\n')

const tiles = []
for (const [row, size] of SIZES.entries()) {
  for (const [column, name] of names.entries()) {
    const input = await sharp(join(icons, `${name}.svg`), { density: DENSITY })
      .trim()
      .resize(size, size, { fit: 'contain', background: '#0000' })
      .png()
      .toBuffer()
    const border = Math.floor((TILE - size) / 2)
    tiles.push({ input, left: column * TILE + border, top: row * TILE + border })
  }
}
const canvas = { width: names.length * TILE, height: SIZES.length * TILE, channels: 4, background: '#0000' }
const png = await sharp({ create: canvas }).composite(tiles).png({ compressionLevel: 9, effort: 10 }).toBuffer()
writeFileSync(join(here, 'atlas.png'), png)
console.log(`atlas.png: ${names.length} drawings x ${SIZES.length} sizes, ${png.length} bytes`)
