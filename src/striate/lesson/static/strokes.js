// A toy set to learn from, made in the page: small pictures of one stroke each, and which way it runs.

const STROKES = { side: 12, classes: ["lying", "standing", "rising", "falling"], shortest: 5, longest: 9, noise: 0.12 };
const DIRECTIONS = [[0, 1], [1, 0], [-1, 1], [1, 1]]; // rows and columns from one pixel of the stroke to the next

// Random numbers from a whole number (mulberry32, Tommy Ettinger 2017); `state` can be kept, and goes on from there.
function randomFrom(state) {
  const random = {
    state: state >>> 0,
    uniform() {
      random.state = (random.state + 0x6d2b79f5) >>> 0;
      let mixed = random.state;
      mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
    below: (count) => Math.floor(random.uniform() * count),
    normal: () => Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform()), // Box and Muller 1958
  };
  return random;
}

// `count` pictures of values from 0 to 1 and their classes, each class as often as the others.
function strokeSet(seed, count) {
  const random = randomFrom(seed);
  const targets = Array.from({ length: count }, (_, i) => i % STROKES.classes.length);
  return { targets, pictures: targets.map((target) => strokePicture(target, random)) };
}

// One stroke of some length and brightness at some place, with another pixel or two lit, under noise.
function strokePicture(target, random) {
  const { side, shortest, longest, noise } = STROKES;
  const [down, across] = DIRECTIONS[target];
  const length = shortest + random.below(longest - shortest + 1);
  const bright = 0.55 + 0.45 * random.uniform();
  const reach = length - 1;
  const row = (down < 0 ? reach : 0) + random.below(side - Math.abs(down) * reach);
  const column = random.below(side - Math.abs(across) * reach);
  const picture = tensor([1, side, side]);
  for (let i = 0; i < length; i++) picture.data[(row + i * down) * side + column + i * across] = bright;
  for (let i = 0; i < 2; i++) picture.data[random.below(side * side)] = bright;
  for (let i = 0; i < side * side; i++) picture.data[i] = Math.min(Math.max(picture.data[i] + noise * random.normal(), 0), 1);
  return picture;
}
