#include "status_page/html.h"

#include <gtest/gtest.h>

namespace poolwarden::status_page {
namespace {

TEST(Html, TextIsNoMarkup) {
  EXPECT_EQ(escaped("<script src=\"x\">'&</script>"),
            "&lt;script src=&quot;x&quot;&gt;&#39;&amp;&lt;/script&gt;");
  EXPECT_EQ(Html().tag("<td>").text("<b>").tag("</td>").number(-3).take(), "<td>&lt;b&gt;</td>-3");
}

TEST(Html, WhatTurnsOrHidesTextIsSpelledOut) {
  EXPECT_EQ(escaped("a\nb\x1b[2J"), "a\\nb\\x1b[2J");
  EXPECT_EQ(escaped("safe\u202e<gnp"), "safe\\u202e&lt;gnp");
  EXPECT_EQ(escaped("\xff\xc0"), "\\xff\\xc0") << "no UTF-8, and so no character that a browser could join";
}

}  // namespace
}  // namespace poolwarden::status_page
