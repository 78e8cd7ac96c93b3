"""The parts of the page, as Streamlit draws them; `dashboards.app` has their order."""
