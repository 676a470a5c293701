#include "scenarios/drain_file.h"

#include "scenarios/child_run.h"
#include "scenarios/drain_story.h"
#include "scenarios/shrink.h"

#include <sstream>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::scenarios {
namespace {

constexpr int kMostTries = 1000;

std::string failure_of(const DrainScript& script) {
  return run_in_child([&script] { return DrainStory(script).run(); }, kLongestStory);
}

DrainScript only(const DrainScript& script, const Kept& kept) {
  DrainScript some{script.settings, {}};
  for (const std::size_t index : kept) some.acts.push_back(script.acts.at(index));
  return some;
}

// Each makes a story simpler for a reader.
std::vector<DrainSettings> simpler(const DrainSettings& settings) {
  std::vector<DrainSettings> all;
  const auto with = [&all, &settings](auto change) {
    DrainSettings changed = settings;
    change(changed);
    if (!(changed == settings)) all.push_back(changed);
  };
  with([](DrainSettings& s) { s.upgrade = false; });
  with([](DrainSettings& s) { s.operators = 1; });
  with([](DrainSettings& s) { s.honest_engines = true; });
  with([](DrainSettings& s) { s.replace_first = false; });
  return all;
}

// Every line of it.
std::string commented(const std::string& text, std::string_view indent) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) out += fmt::format("#{}{}\n", indent, line);
  return out;
}

}  // namespace

CutStory cut_drain_story(const DrainScript& script, const std::string& failure,
                         std::chrono::seconds at_most) {
  const std::string kind = failure_kind(failure);
  const auto until = ChildRun::Clock::now() + at_most;
  const auto fails = [&kind, until](const DrainScript& candidate) {
    return ChildRun::Clock::now() < until && failure_kind(failure_of(candidate)) == kind;
  };
  CutStory cut{script, {}, 1};
  if (!fails(script)) return cut;
  // Settings first: with fewer operators and without the upgrade each try is faster.
  bool simplified = true;
  while (simplified) {
    simplified = false;
    for (const DrainSettings& settings : simpler(cut.script.settings)) {
      ++cut.tries;
      if (!fails({settings, cut.script.acts})) continue;
      cut.script.settings = settings;
      simplified = true;
      break;
    }
  }
  const auto shrunk = shrink(
      cut.script.acts.size(), [&](const Kept& kept) { return fails(only(cut.script, kept)); }, kMostTries);
  cut.script = only(cut.script, shrunk.kept);
  cut.tries += shrunk.tries;
  cut.failure = failure_of(cut.script);
  return cut;
}

std::string drain_file(const CutStory& story, std::size_t acts_before, const std::string& path) {
  std::string text =
      fmt::format("# Drain seed {}, cut from {} acts to {} in {} tries. What goes wrong:\n",
                  story.script.settings.seed, acts_before, story.script.acts.size(), story.tries);
  text += commented(story.failure, "   ");
  text += fmt::format(
      "# To run it again: soak --story {}\n"
      "# The verbs are explained in tests/scenarios/drain_acts.cpp. 'pod 7' is the pod at that place among "
      "those\n"
      "# there, sorted by name and counted round from 0; the comment beside it names the pod.\n\n",
      path);
  const std::string rest = run_in_child(
      [&story] {
        DrainStory again(story.script);
        again.run();
        return to_text(story.script, again.notes()) + "\n# What happened:\n" + commented(again.told(), " ");
      },
      kLongestStory);
  // One that crashes or hangs tells nothing.
  return text + (rest.starts_with("seed ") ? rest : to_text(story.script));
}

}  // namespace poolwarden::scenarios
