-- Offers are found by their name as it looks: without what shows as nothing, any blanks as one and
-- none around it, in one form of Unicode. Not unique: the releases before this one add offers that differ by such a mark
-- only, and go on while this runs. The expression is asSeenSql in app/src/domain/texts.ts: a function
-- of our own would be out of the reach of an old release, whose grants come back with it.
CREATE INDEX offer_kind_name_as_seen ON offer (
  kind,
  (normalize(
    btrim(regexp_replace(
      regexp_replace(
        name,
        '[\u00AD\u034F\u061C\u115F-\u1160\u17B4-\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E'
        '\u2060-\u206F\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB'
        '\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF]',
        '', 'g'
      ),
      '[\u0009-\u000D\u0020\u0085\u00A0\u1680\u2000-\u200A\u2028-\u2029\u202F\u205F\u2800\u3000]+',
      ' ', 'g'
    )),
    NFC
  ))
);
