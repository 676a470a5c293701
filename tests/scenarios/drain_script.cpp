#include "scenarios/drain_script.h"

#include <array>
#include <charconv>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::scenarios {
namespace {

template <class Number>
Number script_number(const std::string& word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || value < 0)
    throw std::runtime_error(fmt::format("'{}' is no number of this size", word));
  return value;
}

bool either(const std::string& word, std::string_view yes, std::string_view no) {
  if (word == yes) return true;
  if (word == no) return false;
  throw std::runtime_error(fmt::format("'{}' is neither {} nor {}", word, yes, no));
}

int at_least_one(const std::string& word) {
  const int number = script_number<int>(word);
  if (number < 1) throw std::runtime_error(fmt::format("'{}' is less than 1", word));
  return number;
}

constexpr std::array<std::pair<std::string_view, DrainTarget>, 3> kTargets{
    {{"deployment", DrainTarget::kDeployment},
     {"statefulset", DrainTarget::kStatefulSet},
     {"parallel-statefulset", DrainTarget::kParallelStatefulSet}}};

DrainTarget target_of(const std::string& word) {
  for (const auto& [name, target] : kTargets) {
    if (name == word) return target;
  }
  throw std::runtime_error(fmt::format("'{}' is no target", word));
}

std::string_view to_text(DrainTarget of) {
  for (const auto& [name, target] : kTargets) {
    if (target == of) return name;
  }
  return {};
}

void read_setting(DrainSettings& into, const std::vector<std::string>& words) {
  if (words.size() != 2) throw std::runtime_error("a setting is a name and a value");
  const std::string& name = words[0];
  const std::string& value = words[1];
  if (name == "seed") {
    into.seed = script_number<std::uint64_t>(value);
  } else if (name == "target") {
    into.target = target_of(value);
  } else if (name == "network") {
    into.faulty = either(value, "fails", "well");
  } else if (name == "timeout") {
    into.timeout = script_number<int>(value);
  } else if (name == "operators") {
    into.operators = at_least_one(value);
  } else if (name == "replicas") {
    into.replicas = script_number<int>(value);
  } else if (name == "replace-first") {
    into.replace_first = either(value, "yes", "no");
  } else if (name == "engines") {
    into.honest_engines = either(value, "honest", "mixed");
  } else if (name == "upgrade") {
    into.upgrade = either(value, "yes", "no");
  } else {
    throw std::runtime_error(fmt::format("there is no setting '{}'", name));
  }
}

DrainAct read_act(std::vector<std::string> words) {
  if (words.size() < 2) throw std::runtime_error("an act is a time, a verb and its words");
  const auto at = std::chrono::duration<double>(script_number<double>(words[0]));
  return {std::chrono::round<std::chrono::milliseconds>(at), words[1],
          std::vector<std::string>(words.begin() + 2, words.end())};
}

void read_line(DrainScript& script, const std::string& line) {
  std::istringstream stream(line.substr(0, line.find('#')));
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  if (words.empty()) return;
  if (words[0][0] < '0' || words[0][0] > '9') return read_setting(script.settings, words);
  DrainAct act = read_act(std::move(words));
  if (!script.acts.empty() && act.at < script.acts.back().at)
    throw std::runtime_error("this act is earlier than the one before it");
  script.acts.push_back(std::move(act));
}

}  // namespace

std::string to_text(const DrainScript& script, const std::vector<std::string>& notes) {
  const DrainSettings& settings = script.settings;
  std::string text = fmt::format(
      "seed {}\ntarget {}\nnetwork {}\ntimeout {}\noperators {}\nreplicas {}\nreplace-first {}\nengines "
      "{}\nupgrade "
      "{}\n",
      settings.seed, to_text(settings.target), settings.faulty ? "fails" : "well", settings.timeout,
      settings.operators, settings.replicas, settings.replace_first ? "yes" : "no",
      settings.honest_engines ? "honest" : "mixed", settings.upgrade ? "yes" : "no");
  for (std::size_t i = 0; i < script.acts.size(); ++i) {
    const DrainAct& act = script.acts[i];
    std::string line = fmt::format("{}.{:03} {}{}{}", act.at.count() / 1000, act.at.count() % 1000, act.verb,
                                   act.words.empty() ? "" : " ", fmt::join(act.words, " "));
    if (i < notes.size() && !notes[i].empty()) line = fmt::format("{:<40} # {}", line, notes[i]);
    text += line + "\n";
  }
  return text;
}

DrainScript parse_drain_script(std::string_view text) {
  DrainScript script;
  std::istringstream stream{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    try {
      read_line(script, line);
    } catch (const std::runtime_error& problem) {
      throw std::runtime_error(fmt::format("line {}: {}", number, problem.what()));
    }
  }
  return script;
}

}  // namespace poolwarden::scenarios
