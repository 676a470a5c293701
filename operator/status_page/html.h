// Writes HTML of which all markup is our own, and no foreign text is any.
//
// Markup is taken from string literals only. Each text is made printable first (base/text.h), so that
// nothing in it turns the direction of its neighbours, and then escaped: it is good between tags and in
// quoted attributes. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace poolwarden::status_page {

class Html {
 public:
  template <std::size_t kSize>
  Html& tag(const char (&literal)[kSize]) {
    out_.append(literal, kSize - 1);
    return *this;
  }
  // Markup that is a constant of ours, but no literal.
  Html& constant(std::string_view ours) {
    out_ += ours;
    return *this;
  }
  Html& text(std::string_view foreign);
  // In an element that keeps its direction of writing to itself.
  Html& name(std::string_view foreign) { return tag("<bdi>").text(foreign).tag("</bdi>"); }
  Html& number(std::int64_t value);

  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string escaped(std::string_view foreign);

}  // namespace poolwarden::status_page
