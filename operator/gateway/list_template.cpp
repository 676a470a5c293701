#include "gateway/list_template.h"

#include "gateway/template_check.h"

#include <algorithm>
#include <functional>
#include <kainjow/mustache.hpp>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

namespace mustache = kainjow::mustache;

constexpr std::size_t kMaxSteps = 2'000'000;  // a second or two
constexpr std::size_t kMaxName = 253;

// A list is written by others; a quote or a line break in it would be the gateway's configuration.
std::string as_name(std::string_view text) {
  std::string out(text.substr(0, kMaxName));
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  std::replace_if(
      out.begin(), out.end(), [&](char c) { return !plain(c); }, '_');
  return out;
}

// Leaves the library, which has no other way out of a rendering.
struct TooMuch {
  std::string_view what;
};

// The library gives text on line by line, and keeps a line until it is whole. So that is counted on both
// sides: what has come out, and what the line that is being made may have by now.
class Budget {
 public:
  explicit Budget(std::size_t section) : section_(section) {}

  void turn() { spend(section_); }
  void spend(std::size_t bytes) {
    constexpr std::size_t kMaxLine = 4 * ListTemplate::kMaxOutput;  // of an upper bound, so with room
    line_ += bytes;
    if (++steps_ > kMaxSteps) throw TooMuch{"its sections within sections repeat too often"};
    if (line_ > kMaxLine) throw TooMuch{"its text is longer than 16 MiB"};
  }
  void came_out(std::size_t bytes) {
    line_ = 0;
    written_ += bytes;
    if (written_ > ListTemplate::kMaxOutput) throw TooMuch{"its text is longer than 16 MiB"};
  }

 private:
  const std::size_t section_;
  std::size_t line_ = 0;
  std::size_t written_ = 0;
  std::size_t steps_ = 0;
};

// What names mean. A list's item is only a place: its values are made when they are asked for, so a list of
// 100,000 endpoints costs no 100,000 tables.
class Scope final : public mustache::basic_context<std::string> {
 public:
  Scope(const ListNames& names, const std::vector<ListedServer>& servers, Budget& budget)
      : pool_(as_name(names.pool)), ns_(as_name(names.ns)), budget_(budget) {
    std::vector<const ListedServer*> ready;
    std::vector<const ListedServer*> draining;
    for (const ListedServer& server : servers) {
      (server.ready ? ready : draining).push_back(&server);
      endpoints_.servers.push_back(&server);
    }
    ready_.servers = std::move(ready);
    draining_.servers = std::move(draining);
    for (List* list : {&ready_, &draining_, &endpoints_})
      list->places = mustache::data(mustache::list(list->servers.size(), yes_));
  }

  void push(const mustache::data* item) override {
    budget_.turn();
    items_.push_back(place_of(item).value_or(items_.empty() ? Place{} : items_.back()));
  }
  void pop() override { items_.pop_back(); }

  const mustache::data* get(const std::string& name) const override {
    budget_.spend(0);
    const std::pair<std::string_view, const List*> lists[] = {
        {"ready", &ready_}, {"draining", &draining_}, {"endpoints", &endpoints_}};
    for (const auto& [known, list] : lists) {
      if (name == known) return &list->places;
      if (name.starts_with("has_") && name.substr(4) == known) return yes_or_no(!list->servers.empty());
    }
    if (name == "pool") return &pool_;
    if (name == "namespace") return &ns_;
    return items_.empty() || items_.back().list == nullptr ? nullptr : of_endpoint(name, items_.back());
  }
  const mustache::data* get_partial(const std::string&) const override { return nullptr; }

 private:
  struct List {
    std::vector<const ListedServer*> servers;
    mustache::data places{mustache::data::type::list};
  };
  struct Place {
    const List* list = nullptr;  // none: outside of any
    std::size_t index = 0;
  };

  std::optional<Place> place_of(const mustache::data* item) const {
    for (const List* list : {&ready_, &draining_, &endpoints_}) {
      const auto& places = list->places.list_value();
      const std::less<> before;
      if (!places.empty() && !before(item, places.data()) && before(item, places.data() + places.size()))
        return Place{list, static_cast<std::size_t>(item - places.data())};
    }
    return std::nullopt;
  }

  const mustache::data* of_endpoint(std::string_view name, const Place& place) const {
    const ListedServer& server = *place.list->servers[place.index];
    if (name == "is_ready") return yes_or_no(server.ready);
    if (name == "is_draining") return yes_or_no(!server.ready);
    if (name == "first") return yes_or_no(place.index == 0);
    if (name == "last") return yes_or_no(place.index + 1 == place.list->servers.size());
    if (name == "name") return text(as_name(server.name));
    if (name == "address") return text(server.address.to_string());
    if (name == "ip") return text(server.address.ip);
    if (name == "port") return text(std::to_string(server.address.port));
    if (name == "state") return text(server.ready ? "ready" : "draining");
    if (name == "zone") return server.zone.empty() ? &no_ : text(as_name(server.zone));
    if (name != "host") return nullptr;
    const bool v6 = server.address.ip.find(':') != std::string::npos;
    return text(v6 ? fmt::format("[{}]", server.address.ip) : server.address.ip);
  }

  const mustache::data* yes_or_no(bool yes) const { return yes ? &yes_ : &no_; }
  // The library uses it up before it asks for the next.
  const mustache::data* text(const std::string& value) const {
    budget_.spend(value.size());
    last_text_ = mustache::data(value);
    return &last_text_;
  }

  const mustache::data yes_{true};
  const mustache::data no_{false};
  const mustache::data pool_;
  const mustache::data ns_;
  Budget& budget_;
  List ready_;
  List draining_;
  List endpoints_;
  std::vector<Place> items_;
  mutable mustache::data last_text_;
};

// As the library wants a stream.
class Sink {
 public:
  explicit Sink(Budget& budget) : budget_(budget) {}
  Sink& operator<<(const std::string& text) {
    budget_.came_out(text.size());
    text_ += text;
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  Budget& budget_;
  std::string text_;
};

}  // namespace

struct ListTemplate::Impl {
  Impl(const std::string& text, TemplateShape its_shape) : parsed(text), shape(its_shape) {
    parsed.set_custom_escape([](const std::string& value) { return value; });
  }
  mustache::mustache parsed;
  TemplateShape shape;
};

tl::expected<ListTemplate, std::string> ListTemplate::parse(std::string text) {
  if (text.size() > kMaxBytes) {
    return tl::unexpected(
        fmt::format("it is longer than {} KiB: make a file of its own of what changes, and have the "
                    "gateway's configuration include that",
                    kMaxBytes >> 10));
  }
  const auto shape = check_template(text, kMaxDepth);
  if (!shape) return tl::unexpected(shape.error());
  auto impl = std::make_shared<Impl>(text, *shape);
  if (!impl->parsed.is_valid()) return tl::unexpected(impl->parsed.error_message());
  return ListTemplate(std::move(impl));
}

tl::expected<std::string, std::string> ListTemplate::render(const ListNames& names,
                                                            const std::vector<ListedServer>& servers) const {
  Budget budget(impl_->shape.longest_section);
  Sink sink(budget);
  try {
    Scope scope(names, servers, budget);
    impl_->parsed.render(static_cast<mustache::basic_context<std::string>&>(scope), sink);
  } catch (const TooMuch& too_much) {
    return tl::unexpected(std::string(too_much.what));
  }
  return sink.take();
}

}  // namespace poolwarden::gateway
