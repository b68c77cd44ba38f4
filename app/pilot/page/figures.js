// What a version does now, out of counters that only grow. Pure: states in, figures out.

const KEPT = 150;
const WINDOW = 10;

/** The newest states, for rates and quantiles over the last seconds. */
export class Figures {
  #samples = [];

  /** A state of the pilot. Begins anew where counters have shrunk: an instance has left. */
  take(state) {
    const last = this.#samples.at(-1);
    if (last && state.at <= last.at) return;
    if (last && shrunk(last, state)) this.#samples = [];
    this.#samples.push({
      at: state.at,
      versions: state.versions,
      servers: state.servers,
      bounds: state.bounds,
    });
    if (this.#samples.length > KEPT) this.#samples.shift();
  }

  /** A version over the last ten seconds; null where nothing can be said. */
  version(name) {
    const [then, now] = this.#span();
    const nothing = { rate: null, failing: null, share: null, p50: null, p95: null, p99: null };
    if (!then) return nothing;
    const grown = (version) => now.versions[version].requests - then.versions[version].requests;
    const requests = grown(name);
    const all = grown("stable") + grown("canary");
    const failed = now.versions[name].failed - then.versions[name].failed;
    const buckets = now.versions[name].buckets.map((count, at) => count - then.versions[name].buckets[at]);
    return {
      rate: requests / (now.at - then.at),
      failing: requests ? failed / requests : null,
      share: all ? requests / all : null,
      p50: quantile(0.5, buckets, now.bounds),
      p95: quantile(0.95, buckets, now.bounds),
      p99: quantile(0.99, buckets, now.bounds),
    };
  }

  /** A server’s requests a second; null where nothing can be said. */
  server(url) {
    const [then, now] = this.#span();
    if (!then || !then.servers[url] || !now.servers[url]) return null;
    return (now.servers[url].requests - then.servers[url].requests) / (now.at - then.at);
  }

  /** Requests a second, look by look, each over the four seconds before: [at, rate]. */
  series(name) {
    return this.#samples.flatMap((now, at) => {
      const then = this.#samples[Math.max(0, at - 4)];
      if (now === then) return [];
      return [[now.at, (now.versions[name].requests - then.versions[name].requests) / (now.at - then.at)]];
    });
  }

  #span() {
    const now = this.#samples.at(-1);
    const then = this.#samples.find((sample) => sample.at >= now.at - WINDOW);
    return then === now ? [null, now] : [then, now];
  }
}

function shrunk(then, now) {
  return ["stable", "canary"].some((name) => now.versions[name].requests < then.versions[name].requests);
}

/** The value below which a share of the observations lie, as app/histogram.py has it; null without any. */
export function quantile(share, buckets, bounds) {
  const rank = share * buckets.reduce((sum, count) => sum + count, 0);
  if (!rank) return null;
  let below = 0;
  const bucket = buckets.findIndex((count) => count > 0 && (below += count) >= rank);
  if (bucket >= bounds.length) return bounds.at(-1);
  const low = bucket ? bounds[bucket - 1] : 0;
  return low + ((bounds[bucket] - low) * (rank - below + buckets[bucket])) / buckets[bucket];
}
