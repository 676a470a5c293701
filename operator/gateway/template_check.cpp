#include "gateway/template_check.h"

#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

enum class TagKind : std::uint8_t { kValue, kSection, kInverted, kEnd, kComment, kPartial, kDelimiters };

struct Tag {
  TagKind kind = TagKind::kValue;
  std::string_view name;
  std::size_t line = 1;
  std::size_t text_before = 0;
  bool closed = true;
};

// Tags in their order, as the library finds them.
class Tags {
 public:
  explicit Tags(std::string_view text) : text_(text) {}

  std::optional<Tag> next() {
    const std::size_t at = text_.find("{{", from_);
    if (at == std::string_view::npos) return std::nullopt;
    Tag tag;
    line_ += static_cast<std::size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                                 text_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    counted_ = at;
    tag.line = line_;
    tag.text_before = at - from_;
    const bool triple = text_.substr(at).starts_with("{{{");
    const std::string_view close = triple ? "}}}" : "}}";
    const std::size_t begin = at + (triple ? 3 : 2);
    const std::size_t end = text_.find(close, begin);
    if (end == std::string_view::npos) {
      tag.closed = false;
      return tag;
    }
    from_ = end + close.size();
    read(trimmed(text_.substr(begin, end - begin)), triple, tag);
    return tag;
  }

 private:
  static std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
  }

  static void read(std::string_view inside, bool triple, Tag& tag) {
    constexpr std::pair<char, TagKind> kKinds[] = {{'#', TagKind::kSection}, {'^', TagKind::kInverted},
                                                   {'/', TagKind::kEnd},     {'!', TagKind::kComment},
                                                   {'>', TagKind::kPartial}, {'&', TagKind::kValue}};
    tag.name = inside;
    if (inside.starts_with('=')) tag.kind = TagKind::kDelimiters;
    if (inside.empty() || triple || tag.kind == TagKind::kDelimiters) return;
    for (const auto& [sigil, kind] : kKinds) {
      if (inside.front() != sigil) continue;
      tag.kind = kind;
      tag.name = trimmed(inside.substr(1));
    }
  }

  const std::string_view text_;
  std::size_t from_ = 0;
  std::size_t counted_ = 0;
  std::size_t line_ = 1;
};

enum class Means : std::uint8_t { kText, kYesNo, kList };

struct Name {
  std::string_view name;
  Means means;
  bool of_endpoint;
};

constexpr Name kNames[] = {{"pool", Means::kText, false},          {"namespace", Means::kText, false},
                           {"ready", Means::kList, false},         {"draining", Means::kList, false},
                           {"endpoints", Means::kList, false},     {"has_ready", Means::kYesNo, false},
                           {"has_draining", Means::kYesNo, false}, {"has_endpoints", Means::kYesNo, false},
                           {"name", Means::kText, true},           {"address", Means::kText, true},
                           {"host", Means::kText, true},           {"ip", Means::kText, true},
                           {"port", Means::kText, true},           {"zone", Means::kText, true},
                           {"state", Means::kText, true},          {"is_ready", Means::kYesNo, true},
                           {"is_draining", Means::kYesNo, true},   {"first", Means::kYesNo, true},
                           {"last", Means::kYesNo, true}};

const Name* find_name(std::string_view name) {
  const auto* found = std::find_if(std::begin(kNames), std::end(kNames),
                                   [&](const Name& known) { return known.name == name; });
  return found == std::end(kNames) ? nullptr : found;
}

std::string quoted_name(std::string_view name) {
  constexpr std::size_t kShown = 40;
  return base::printable(base::abridged(std::string(name), kShown));
}

std::string unknown(std::string_view name) {
  std::string there;
  for (const Name& known : kNames) {
    if (!there.empty()) there += ", ";
    there += known.name;
  }
  return fmt::format("'{}' is not known; a template knows {}. For a brace before a tag, put a blank between",
                     quoted_name(name), there);
}

class Checker {
 public:
  explicit Checker(std::size_t max_depth) : max_depth_(max_depth) {}

  // What is wrong with the tag.
  std::optional<std::string> take(const Tag& tag) {
    note_text(tag.text_before);
    if (!tag.closed) return "this tag has no end: }} is missing";
    switch (tag.kind) {
      case TagKind::kComment:
        return std::nullopt;
      case TagKind::kPartial:
        return fmt::format("partials ({{{{> {}}}}}) are not supported: put their text here",
                           quoted_name(tag.name));
      case TagKind::kDelimiters:
        return "other delimiters than {{ and }} are not supported";
      case TagKind::kEnd:
        return close(tag);
      case TagKind::kValue:
      case TagKind::kSection:
      case TagKind::kInverted:
        break;
    }
    const Name* name = find_name(tag.name);
    if (name == nullptr) return unknown(tag.name);
    if (name->of_endpoint && lists_ == 0) {
      return fmt::format(
          "{} is an endpoint's: it belongs between {{{{#ready}}}} and {{{{/ready}}}}, or another list",
          name->name);
    }
    if (tag.kind != TagKind::kValue) return open(tag, *name);
    if (name->means == Means::kText) return std::nullopt;
    return fmt::format("{0} is {1}, not a text: use {{{{#{0}}}}} ... {{{{/{0}}}}}", name->name,
                       name->means == Means::kList ? "a list" : "yes or no");
  }

  std::optional<std::string> end() const {
    if (open_.empty()) return std::nullopt;
    return fmt::format("line {}: {{{{#{}}}}} is not closed", open_.back().line, open_.back().name);
  }
  std::size_t longest() const { return longest_; }

 private:
  struct Open {
    std::string_view name;
    std::size_t line;
    bool list;
    std::size_t text = 0;
  };

  void note_text(std::size_t bytes) {
    if (open_.empty()) return;
    open_.back().text += bytes;
    longest_ = std::max(longest_, open_.back().text);
  }

  std::optional<std::string> open(const Tag& tag, const Name& name) {
    if (open_.size() >= max_depth_) return fmt::format("more than {} sections within each other", max_depth_);
    const bool list = name.means == Means::kList && tag.kind == TagKind::kSection;
    if (list) ++lists_;
    open_.push_back({name.name, tag.line, list});
    return std::nullopt;
  }

  std::optional<std::string> close(const Tag& tag) {
    if (open_.empty()) return fmt::format("{{{{/{}}}}} closes nothing", quoted_name(tag.name));
    if (open_.back().name != tag.name) {
      return fmt::format("{{{{/{}}}}} where {{{{/{}}}}} is expected, for line {}", quoted_name(tag.name),
                         open_.back().name, open_.back().line);
    }
    if (open_.back().list) --lists_;
    open_.pop_back();
    return std::nullopt;
  }

  const std::size_t max_depth_;
  std::vector<Open> open_;
  int lists_ = 0;  // open ones
  std::size_t longest_ = 0;
};

}  // namespace

tl::expected<TemplateShape, std::string> check_template(std::string_view text, std::size_t max_depth) {
  Tags tags(text);
  Checker checker(max_depth);
  while (const auto tag = tags.next()) {
    if (const auto problem = checker.take(*tag))
      return tl::unexpected(fmt::format("line {}: {}", tag->line, *problem));
  }
  if (auto problem = checker.end()) return tl::unexpected(*std::move(problem));
  return TemplateShape{checker.longest()};
}

}  // namespace poolwarden::gateway
