/** The same selection by DuckDB's SQL: `duckdb.ts FOLDER TARGET [TOP_PERCENT]`. Prints one JSON line. */
import { availableParallelism } from "node:os";
import { DuckDBInstance } from "@duckdb/node-api";
import { topPercentRank } from "../../src/kernels/top-percent.ts";

const [folder, target, top_percent = "70"] = process.argv.slice(2);
const scores = `read_parquet('${folder}/scores/*.parquet')`;
const database = await DuckDBInstance.create(":memory:", { threads: String(availableParallelism()) });
const connection = await database.connect();
const firstValue = async (sql: string): Promise<number> => Number((await connection.runAndReadAll(sql)).getRows()[0]![0]);
await firstValue("select 1");

const cpu = process.cpuUsage();
const start = performance.now();
const k = topPercentRank(Number(top_percent), await firstValue(`select count(vig) from ${scores}`));
const tau = await firstValue(`select vig from ${scores} where vig is not null order by vig desc limit 1 offset ${k - 1}`);
// A literal with a point would be a DECIMAL, and rounded on its way to DOUBLE: the sample at tau itself would be lost.
const tauLiteral = `cast('${tau}' as double)`;
await connection.run(`
  copy (
    select sample_id, source, images, messages, vig, token_id, token_text, loss_mask,
           len(list_filter(loss_mask, lambda active: active))::int as num_active, kept_as
    from (
      select *,
             case when vig is null then list_transform(token_id, lambda id: true)
                  else list_transform(token_vig, lambda nats: nats >= ${tauLiteral}) end as loss_mask,
             case when vig is null then 'text_only' else 'vig' end as kept_as
      from ${scores}
      where vig is null or vig >= ${tauLiteral}
    )
  ) to '${target}' (format parquet, compression zstd, row_group_size 20000)`);
const seconds = (performance.now() - start) / 1000;
const used = process.cpuUsage(cpu);
console.log(JSON.stringify({ seconds, cpu_seconds: (used.user + used.system) / 1e6, peak_mib: process.resourceUsage().maxRSS / 1024, tau }));
