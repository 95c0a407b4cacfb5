// Loaded into a server before it starts: it waits for the store for a second, and not for fifteen.
import { storeLimits } from "../../src/data/store.ts";

storeLimits.answerMs = 1000;
