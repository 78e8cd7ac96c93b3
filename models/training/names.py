"""Names that augmentation exchanges: within a trade, so that a topic stays; and countries.

Only names that are no common words, and that stand in texts without an article.
"""

from typing import Final

COMPANIES: Final[tuple[tuple[str, ...], ...]] = (
    ("Microsoft", "Google", "Facebook", "Oracle", "IBM", "Salesforce", "Adobe", "SAP", "Twitter",
     "Snowflake", "Dropbox", "Netlight", "Corvadata", "Brightloom"),
    ("Nvidia", "Intel", "AMD", "Qualcomm", "Micron", "Broadcom", "Infineon", "ASML", "Helvosil"),
    ("JPMorgan", "Citigroup", "HSBC", "Barclays", "UBS", "Goldman Sachs", "Morgan Stanley",
     "Wells Fargo", "Deutsche Bank", "Credit Suisse", "BNP Paribas", "Santander", "Nordea",
     "Danske Bank", "Banca Orvena"),
    ("Exxon", "Chevron", "ConocoPhillips", "TotalEnergies", "Equinor", "Petrobras", "Lukoil",
     "Halliburton", "Schlumberger", "Norrfjord Oil"),
    ("Tesla", "Toyota", "Volkswagen", "Honda", "Nissan", "Hyundai", "Renault", "Stellantis", "BMW",
     "General Motors", "Rivian", "Varano Motors"),
    ("Pfizer", "Moderna", "Novartis", "Roche", "AstraZeneca", "Merck", "Bayer", "Sanofi", "AbbVie",
     "Lysanthe Pharma"),
    ("Walmart", "Costco", "Tesco", "Carrefour", "Macy's", "Kroger", "Ahold", "Zalando", "Ocado",
     "Merelle Stores"),
    ("Boeing", "Airbus", "Embraer", "Bombardier"),
    ("Lufthansa", "Ryanair", "easyJet", "Finnair", "Qantas", "Air France", "Delta Air Lines",
     "American Airlines"),
    ("Nokia", "Ericsson", "Verizon", "Vodafone", "Telefonica", "Telia", "Elisa", "T-Mobile"),
    ("Siemens", "Honeywell", "Caterpillar", "ABB", "Kone", "Wartsila", "Metso", "Sandvik",
     "Kallendahl Works"),
)  # fmt: skip
"""Companies by trade; the last of most trades are invented."""

TICKERS: Final[tuple[tuple[str, ...], ...]] = (
    ("AAPL", "MSFT", "GOOG", "GOOGL", "META", "FB", "ORCL", "IBM", "CRM", "ADBE", "SNOW", "TWTR"),
    ("NVDA", "INTC", "AMD", "QCOM", "MU", "AVGO", "TXN"),
    ("JPM", "BAC", "WFC", "GS", "MS", "HSBC", "BCS", "DB", "CS", "UBS"),
    ("XOM", "CVX", "COP", "BP", "OXY", "SLB", "HAL", "EOG", "MRO"),
    ("TSLA", "TM", "GM", "NIO", "RIVN", "LCID", "HMC", "XPEV"),
    ("PFE", "MRNA", "NVS", "AZN", "MRK", "ABBV", "BNTX", "GSK", "LLY"),
    ("WMT", "TGT", "COST", "KR", "BBY", "HD", "LOW", "KSS"),
    ("AAL", "DAL", "UAL", "LUV", "JBLU", "ALK"),
    ("SPY", "QQQ", "DIA", "IWM", "VOO"),
)  # fmt: skip
"""Stock symbols by trade; the last row are funds on indices."""

COUNTRIES: Final = (
    "Germany", "France", "Italy", "Spain", "Portugal", "Austria", "Belgium", "Sweden", "Norway",
    "Denmark", "Finland", "Poland", "Hungary", "Romania", "Bulgaria", "Greece", "Turkey", "Ireland",
    "Estonia", "Latvia", "Lithuania", "Russia", "Ukraine", "Canada", "Mexico", "Brazil",
    "Argentina", "Chile", "Peru", "Colombia", "Japan", "China", "India", "Indonesia", "Thailand",
    "Vietnam", "Malaysia", "Singapore", "Taiwan", "South Korea", "Australia", "New Zealand",
    "Egypt", "Nigeria", "Kenya", "South Africa", "Israel", "Saudi Arabia", "Qatar",
)  # fmt: skip
